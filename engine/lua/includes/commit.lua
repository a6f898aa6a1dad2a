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
      if offering.collects or offering.of then
        for index, count in ipairs({offering.entered, offering.draw, offering.met}) do
          counts[#counts + 1] = names[2 * #offering.pools + 1 + index]
          counts[#counts + 1] = count
        end
      end
    end
  end
  call_in_chunks('HSET', Key.COUNTS, counts)

  local lists = {}
  for member in pairs(live_changed) do
    lists[#lists + 1] = member
    lists[#lists + 1] = cmsgpack.pack(live[member])
  end
  call_in_chunks('HSET', Key.MEMBERS, lists)
  call_in_chunks('HSET', Key.ENROLLMENTS, record_writes)
  call_in_chunks('HSET', Key.REQUESTS, request_writes)

  local uses = {}
  for id in pairs(codes_changed) do
    uses[#uses + 1] = id
    uses[#uses + 1] = cmsgpack.pack(codes[id])
  end
  call_in_chunks('HSET', Key.CODES, uses)

  local logged = #log_headers
  if logged > 0 then
    redis.call('HSET', Key.META, 'seq', seq)
  end
  for index, header in ipairs(log_headers) do
    local id, record = epoch .. '-' .. seq - logged + index, log_records[index]
    if record then
      redis.call('XADD', Key.EVENTS, id, 'h', header, 'r', record)
    else
      redis.call('XADD', Key.EVENTS, id, 'h', header)
    end
  end
end
