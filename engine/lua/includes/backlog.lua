-- Backpressure: whatever gives something out, or could be asked for without end, is refused while as many events wait
-- for the ledger as may. What gives back, and what time brings about, goes on: it is bounded by what was given out.

-- No more wait than the stream has, whether or not somebody has said how far the ledger is.
local function has_backlog(entries_max)
  local most = tonumber(entries_max)
  return seq - recorded >= most and redis.call('XLEN', Key.EVENTS) >= most
end
