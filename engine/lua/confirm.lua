#!lua flags=allow-oom
-- Takes held or offered seats for good.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    see includes/changes.lua
-- Output  {decided, answers}; or {not_ready}, {behind}
-- Events  confirmed
--
-- @include state records codes commit seats waiting advance answers changes

return run_changes(function(record, by, enrollment)
  local status = record[Record.STATUS]
  if status == 'confirmed' then
    return Outcome.CHANGED
  end
  if status == 'lapsed' then
    return Outcome.TOO_LATE
  end
  if status ~= 'held' and status ~= 'offered' then
    return Outcome.WRONG_STATE, status
  end
  begin_change(enrollment, record)
  redis.call('ZREM', Key.TIMERS, 'expires/' .. enrollment)
  record[Record.STATUS] = 'confirmed'
  record[Record.EXPIRES_AT] = 0
  log_change({SCHEMA, 'confirmed', now, by[1], by[2], enrollment}, record)
  return Outcome.CHANGED
end)
