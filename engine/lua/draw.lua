#!lua
-- Begins and ends the campaign's draw. Between the two no entry changes, and no document is published.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  begin, or end
-- ARGV 2  for end: the number of results
-- Output  {decided, the number of results that are settled, seq};
--         {wrong_state} while an offering of the draw is not closed, or when there is none; {not_ready}, {behind}
-- Events  draw_began, draw_ended, promoted; and what time brought about before
--
-- @include state records commit seats waiting advance

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end

local function ballots()
  local found = {}
  for _, name in ipairs(redis.call('HKEYS', Key.OFFERINGS)) do
    local offering = offering_of(name)
    if offering.policy == 'ballot' then
      found[#found + 1] = offering
    end
  end
  return found
end

local function all_closed()
  local found = ballots()
  for _, offering in ipairs(found) do
    if offering.closes > now then
      return false
    end
  end
  return #found > 0
end

local settled = tonumber(redis.call('HGET', Key.META, 'settled') or 0)
if ARGV[1] == 'begin' and not draw then
  if not all_closed() then
    commit()
    return {Outcome.WRONG_STATE}
  end
  draw = 'drawing'
  redis.call('HSET', Key.META, 'draw', draw)
  log_campaign('draw_began', '', '')
elseif ARGV[1] == 'end' and draw == 'drawing' and settled == tonumber(ARGV[2]) then
  draw = 'done'
  redis.call('HSET', Key.META, 'draw', draw)
  log_campaign('draw_ended', '', '')
  for _, offering in ipairs(ballots()) do
    promote(offering)
  end
end
commit()
return {Outcome.DECIDED, settled, seq}
