-- 9,900 runs more, copies of one that the client has logged, and metrics up to a million. Every row as MLflow itself writes it, whatever columns there are.
begin;
create temporary table model on commit drop as select * from runs where name = 'client 0';
create temporary table made on commit drop as select md5('bulk ' || i) as run_uuid, i from generate_series(1, 9900) i;
insert into runs
  select (jsonb_populate_record(r, jsonb_build_object('run_uuid', m.run_uuid, 'name', 'bulk ' || m.i, 'start_time', 1700000000000 + m.i,
    'artifact_uri', replace(r.artifact_uri, r.run_uuid, m.run_uuid)))).*
  from runs r, made m where r.name = 'client 0';
insert into params (key, value, run_uuid) select 'learning_rate', (0.1 / m.i)::text, m.run_uuid from made m;
insert into tags (key, value, run_uuid) select 'mlflow.runName', 'bulk ' || m.i, m.run_uuid from made m;
insert into metrics (key, value, timestamp, run_uuid, step, is_nan)
  select 'loss', sin(m.i * s), 1700000000000 + s, m.run_uuid, s, false from made m, generate_series(0, 99) s;
insert into metrics (key, value, timestamp, run_uuid, step, is_nan)
  select 'accuracy', cos(s), 1700000000000 + s, md5('bulk 1'), s, false from generate_series(1, 8000) s;
insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
  select distinct on (x.run_uuid, x.key) x.key, x.value, x.timestamp, x.step, x.is_nan, x.run_uuid
  from metrics x join made using (run_uuid) order by x.run_uuid, x.key, x.step desc;
commit;
