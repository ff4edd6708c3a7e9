-- Load for wrk: `wrk … -s load.lua URL -- KIND RUN EXPERIMENT HEADER_FILE`. Prints one line of JSON.
local number = 0
local threads = {}

function setup(thread)
  thread:set("id", #threads + 1)
  table.insert(threads, thread)
end

function init(args)
  kind, run, experiment = args[1], args[2], args[3]
  local file = args[4] and io.open(args[4])
  if file then
    wrk.headers["Authorization"] = file:read("*l")
    file:close()
  end
  wrk.headers["Content-Type"] = "application/json"
  stamp = os.time() * 1000
end

-- every point is a new one: its step counts up, threads keep apart
local function point(key)
  number = number + 1
  return string.format('"key":"%s","value":0.5,"timestamp":%d,"step":%d', key, stamp, number * 16 + id)
end

local make = {
  log_metric = function()
    return wrk.format("POST", "/api/2.0/mlflow/runs/log-metric", nil, string.format('{"run_id":"%s",%s}', run, point("loss")))
  end,
  log_batch = function()
    local points = {}
    for index = 1, 100 do
      points[index] = "{" .. point("batch" .. index % 10) .. "}"
    end
    return wrk.format("POST", "/api/2.0/mlflow/runs/log-batch", nil, string.format('{"run_id":"%s","metrics":[%s]}', run, table.concat(points, ",")))
  end,
  get_run = function()
    return wrk.format("GET", "/api/2.0/mlflow/runs/get?run_id=" .. run)
  end,
  search = function()
    return wrk.format("POST", "/api/2.0/mlflow/runs/search", nil, string.format('{"experiment_ids":["%s"],"max_results":100}', experiment))
  end,
}

function request()
  return make[kind]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%.3f,"refused":%d,"broken":%d,"p50_ms":%.2f,"p99_ms":%.2f}\n', summary.requests, summary.duration / 1e6,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
