-- Seat numbers: the lowest free one is given.

-- Takes a seat of a pool that has one free, and returns its number.
local function take_seat(offering, pool)
  local seat
  if pool.mark > pool.taken then
    local name = redis.call('ZRANGEBYLEX', Key.FREE, '[' .. pool.path, '(' .. pool.path .. ':', 'LIMIT', 0, 1)[1]
    redis.call('ZREM', Key.FREE, name)
    seat = tonumber(string.sub(name, #pool.path + 1))
  else
    seat = pool.mark + 1
    pool.mark = seat
  end
  pool.taken = pool.taken + 1
  offering.changed = true
  return seat
end

local function free_seat(offering, pool, seat)
  redis.call('ZADD', Key.FREE, 0, pool.path .. string.format('%08d', seat))
  pool.taken = pool.taken - 1
  offering.changed = true
end

-- Gives an enrollment a seat of a pool that has one free: for good, or held for a time until it is confirmed.
local function seat(offering, pool, record, enrollment, hold_ttl_ms)
  record[Record.POOL] = pool.pool
  record[Record.SEAT] = take_seat(offering, pool)
  record[Record.STATUS] = 'confirmed'
  if hold_ttl_ms > 0 then
    record[Record.STATUS] = 'held'
    record[Record.EXPIRES_AT] = now + hold_ttl_ms
    redis.call('ZADD', Key.TIMERS, record[Record.EXPIRES_AT], 'expires/' .. enrollment)
  end
end
