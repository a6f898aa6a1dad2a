-- A reader shows nothing that time has already changed: it has the campaign advanced first.

local function is_due()
  return #redis.call('ZRANGEBYSCORE', Key.TIMERS, '-inf', now, 'LIMIT', 0, 1) > 0
end

-- How long what is shown stays so by the clock, or "" for ever.
local function ms_until_due()
  local at = redis.call('ZRANGE', Key.TIMERS, 0, 0, 'WITHSCORES')[2]
  return at and tostring(math.max(0, at - now)) or ''
end
