-- The change: all that was gathered, written in one go at the end of the call. Nothing here can fail.

local function commit()
  local counts = {}
  for _, offering in pairs(offerings) do
    if offering and offering.changed then
      local names = count_names(offering)
      counts[#counts + 1] = names[1]
      counts[#counts + 1] = offering.waiting
      for index, pool in ipairs(offering.pools) do
        counts[#counts + 1] = names[2 * index]
        counts[#counts + 1] = pool.taken
        counts[#counts + 1] = names[2 * index + 1]
        counts[#counts + 1] = pool.mark
      end
    end
  end
  call_in_chunks('HSET', Key.COUNTS, counts)

  local kept, gone = {}, {}
  for member in pairs(live_changed) do
    local list = live[member]
    if #list > 0 then
      kept[#kept + 1] = member
      kept[#kept + 1] = cmsgpack.pack(list)
    else
      gone[#gone + 1] = member
    end
  end
  call_in_chunks('HSET', Key.MEMBERS, kept)
  call_in_chunks('HDEL', Key.MEMBERS, gone)
  call_in_chunks('HSET', Key.ENROLLMENTS, record_writes)

  if #log > 0 then
    redis.call('HSET', Key.META, 'seq', seq)
  end
  for _, event in ipairs(log) do
    redis.call('XADD', Key.EVENTS, epoch .. '-' .. event[1], unpack(event, 2))
  end
end
