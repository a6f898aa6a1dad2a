#!lua
-- Begins and ends a campaign's draws, one after the other. The offerings that stop collecting at the same moment are one
-- draw; a poll in the order of its votes is one by itself. Between its begin and its end no entry of it changes, and no document is published.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  begin the next unless one is under way, end, or progress: no more than the answer
-- ARGV 2  for end: the number of the draw
-- ARGV 3  for end: the number of its results
-- ARGV 4  for begin: the number of events that may wait for the ledger
-- Output  {decided, the number of the draw under way or 0, how many of its results are settled, seq};
--         {wrong_state} when no draw is due; {not_ready}, {behind}
-- Events  draw_began and draw_ended, for each offering of the draw; promoted; and what time brought about before
--
-- @include state backlog records codes commit seats waiting advance draws

if gate ~= 'open' or (ARGV[1] == 'begin' and drawing == 0 and has_backlog(ARGV[4])) then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end

local all = {}
for _, name in ipairs(redis.call('HKEYS', Key.OFFERINGS)) do
  all[#all + 1] = offering_of(name)
end
table.sort(all, function(one, other)
  return one.name < other.name
end)

-- `kind` is of the event.
local function log_draw(kind, offering, number)
  log({SCHEMA, kind, now, SYSTEM[1], SYSTEM[2], '', '', '', 0, offering.name, '', number}, false)
end

-- Also a poll that has failed, which needs no lottery.
local function by_votes(offering)
  return offering.by_votes == true or (offering.threshold ~= nil and offering.met == 0)
end

local settled = tonumber(redis.call('HGET', Key.META, 'settled') or 0)
if ARGV[1] == 'begin' and drawing == 0 then
  local at, first = next_draw_at(all)
  if not at or at > now then
    commit()
    return {Outcome.WRONG_STATE}
  end
  drawing = redis.call('HINCRBY', Key.META, 'draws', 1)
  settled = 0
  for _, offering in ipairs(all) do
    if offering == first or (draws_at(offering) == at and not by_votes(offering) and not by_votes(first)) then
      offering.draw = drawing
      offering.changed = true
      log_draw('draw_began', offering, drawing)
    end
  end
  redis.call('HSET', Key.META, 'drawing', drawing, 'settled', settled)
  note_next_draw(all)
elseif ARGV[1] == 'end' and drawing > 0 and drawing == tonumber(ARGV[2]) and settled == tonumber(ARGV[3]) then
  local ended = drawing
  drawing = 0
  redis.call('HDEL', Key.META, 'drawing')
  for _, offering in ipairs(all) do
    if offering.draw == ended then
      log_draw('draw_ended', offering, ended)
      promote(offering)
    end
  end
end
commit()
return {Outcome.DECIDED, drawing, settled, seq}
