#!lua flags=allow-oom
-- Leaves held or offered seats; each goes to the first who waits for it, in the same call.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    see includes/changes.lua
-- Output  {decided, answers}; or {not_ready}, {behind}
-- Events  declined, promoted
--
-- @include state records codes commit seats waiting advance answers changes

return run_changes(function(record, by, enrollment)
  local status = record[Record.STATUS]
  if status == 'cancelled' then
    return Outcome.CHANGED
  end
  if status == 'lapsed' then
    return Outcome.TOO_LATE
  end
  if status ~= 'held' and status ~= 'offered' then
    return Outcome.WRONG_STATE, status
  end
  local offering = offering_of(record[Record.OFFERING])
  leave('declined', 'cancelled', by, offering, enrollment, record)
  promote(offering)
  return Outcome.CHANGED
end)
