  -- The negative control's first call, in the place of the change: it says which seat is free, and takes none.
  local seat = 0
  if pool and pool.mark > pool.taken then
    local path = pool.path
    local name = redis.call('ZRANGEBYLEX', Key.FREE, '[' .. path, '(' .. path .. ':', 'LIMIT', 0, 1)[1]
    seat = tonumber(string.sub(name, #path + 1))
  elseif pool then
    seat = pool.mark + 1
  end
  return refuse('free', (pool and pool.pool or '') .. '/' .. seat)
