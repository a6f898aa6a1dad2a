#!lua flags=allow-oom
-- Cancels enrollments; a seat that this frees goes to the first who waits for it, in the same call.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    see includes/changes.lua
-- Output  {decided, answers}; or {not_ready}, {behind}
-- Events  cancelled, promoted
--
-- @include state records codes commit seats waiting advance answers changes

return run_changes(function(record, by, enrollment)
  local status = record[Record.STATUS]
  if status == 'cancelled' then
    return Outcome.CHANGED
  end
  if status == 'lapsed' or status == 'not_drawn' then
    return Outcome.WRONG_STATE, status
  end
  local offering = offering_of(record[Record.OFFERING])
  -- The entries of a draw are what they are once no more are collected, or as many have come as are needed.
  local is_collected = status == 'entered' and (offering.draw > 0 or offering.met > 0 or offering.collects <= now)
  if offering.cancel_until <= now or is_collected then
    return Outcome.TOO_LATE
  end
  leave('cancelled', 'cancelled', by, offering, enrollment, record)
  promote(offering)
  return Outcome.CHANGED
end)
