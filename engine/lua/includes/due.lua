-- A reader shows nothing that time has already changed: it has the campaign advanced first.

local function is_due()
  return #redis.call('ZRANGEBYSCORE', Key.TIMERS, '-inf', now, 'LIMIT', 0, 1) > 0
end
