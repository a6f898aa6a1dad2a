#!lua flags=allow-oom
-- Brings about what is due by the clock: windows open and close, pools are released or merge, holds and offers lapse.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    none
-- Output  {decided, ms until the next is due, or "" for never}; {behind} when more is due; or {not_ready}
-- Events  opened, closed, released, merged, lapsed, promoted
--
-- @include state due records codes commit seats waiting advance

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
local behind = advance()
commit()
if behind then
  return {Outcome.BEHIND}
end
return {Outcome.DECIDED, ms_until_due()}
