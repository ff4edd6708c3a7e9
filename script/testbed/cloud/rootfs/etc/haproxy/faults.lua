-- Faults on demand, on what the public endpoints answer. On the admin socket:
--   fault add SERVICE METHOD PART STATUS TIMES DELAY_MS    METHOD * is any, PART is a part of the path, STATUS 0 passes the request on after the delay
--   fault clear | fault list | fault password on|off
local rules = {}
local password_accepted = true
local reasons = { [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [409] = "Conflict",
                  [429] = "Too Many Requests", [500] = "Internal Server Error", [503] = "Service Unavailable", [504] = "Gateway Timeout" }

local function answer(txn, status, message)
  local reason = reasons[status] or "Error"
  local reply = txn:reply({ status = status, reason = reason })
  reply:add_header("Content-Type", "application/json")
  if status == 429 or status == 503 then reply:add_header("Retry-After", "1") end
  reply:set_body(string.format('{"error": {"code": %d, "title": "%s", "message": "%s"}}', status, reason, message))
  txn:done(reply)
end

local function is_password_login(txn)
  if txn.f:method() ~= "POST" or not string.find(txn.f:path(), "/auth/tokens$") then return false end
  local body = txn.f:req_body() or ""
  return string.find(body, '"methods"%s*:%s*%[[^%]]*"password"') ~= nil
end

core.register_action("fault", { "http-req" }, function(txn)
  local service, method, path = txn.f:fe_name(), txn.f:method(), txn.f:path()
  if service == "keystone" and not password_accepted and is_password_login(txn) then
    answer(txn, 401, "The request you have made requires authentication.")
    return
  end
  for position, rule in ipairs(rules) do
    if rule.service == service and (rule.method == "*" or rule.method == method) and string.find(path, rule.part, 1, true) then
      rule.left = rule.left - 1
      if rule.left <= 0 then table.remove(rules, position) end
      if rule.delay > 0 then core.msleep(rule.delay) end
      if rule.status > 0 then answer(txn, rule.status, "A fault that a test asked for.") end
      return
    end
  end
end)

core.register_cli({ "fault", "add" }, "fault add SERVICE METHOD PART STATUS TIMES DELAY_MS", function(applet, _, _, service, method, part, status, times, delay)
  table.insert(rules, { service = service, method = method, part = part, status = tonumber(status), left = tonumber(times), delay = tonumber(delay) })
  applet:send("ok\n")
end)

core.register_cli({ "fault", "clear" }, "fault clear", function(applet)
  rules = {}
  applet:send("ok\n")
end)

core.register_cli({ "fault", "list" }, "fault list", function(applet)
  for _, rule in ipairs(rules) do
    applet:send(string.format("%s %s %s %d times %d after %d ms\n", rule.service, rule.method, rule.part, rule.status, rule.left, rule.delay))
  end
end)

core.register_cli({ "fault", "password" }, "fault password on|off", function(applet, _, _, switch)
  password_accepted = switch ~= "off"
  applet:send("ok\n")
end)
