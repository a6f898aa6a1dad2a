-- Backpressure: whatever gives something out, or could be asked for without end, is refused while as many events wait
-- for the ledger as may. What gives back, and what time brings about, goes on: it is bounded by what was given out.

local function has_backlog(entries_max)
  return seq - recorded >= tonumber(entries_max)
end
