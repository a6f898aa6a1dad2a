#!lua
-- Makes a campaign's state anew, from what the ledger has recorded: begins, fills its keys piece by piece, and ends. Its
-- gate is shut meanwhile, and afterwards.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  begin, fill or end
-- ARGV 2  the epoch of the state that is made
-- ARGV 3  for begin: the epoch-seq of the state that is given up; "" for none. For fill: the part of live/keys.PARTS
-- ARGV 4… for begin: fields and values of META. For fill: what HSET or ZADD take. For end: timers that are due
-- Output  {decided}; or {not_ready} when the gate is open, the state that is there is another, or one is made of a later epoch
-- Events  none
--
-- @include state

local SORTED_SETS = {FREE = true, WAITING = true, QUEUES = true, TIMERS = true}

local function write(command, key)
  for first = 4, #ARGV, 2000 do
    redis.call(command, key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
  end
end

if ARGV[1] == 'begin' then
  local is_whole = gate and epoch and seq and version
  if is_whole and (gate == 'open' or epoch .. '-' .. seq ~= ARGV[3] or tonumber(epoch) >= tonumber(ARGV[2])) then
    return {Outcome.NOT_READY}
  end
  -- Freed aside: a million of fields would take a second.
  redis.call('UNLINK', unpack(KEYS))
  write('HSET', Key.META)
  redis.call('HSET', Key.META, 'gate', 'rebuilding')
  return {Outcome.DECIDED}
end
if gate ~= 'rebuilding' or epoch ~= ARGV[2] then
  return {Outcome.NOT_READY}
end
if ARGV[1] == 'fill' then
  write(SORTED_SETS[ARGV[3]] and 'ZADD' or 'HSET', Key[ARGV[3]])
else
  for index = 4, #ARGV do
    redis.call('ZADD', Key.TIMERS, now, ARGV[index])
  end
  redis.call('HSET', Key.META, 'gate', 'closed')
end
return {Outcome.DECIDED}
