-- Showing an enrollment as it is now.

-- The answer that shows it, or nil when its hold or offer is past its time: then the campaign must advance first.
local function show(enrollment, record)
  if record[Record.EXPIRES_AT] > 0 and record[Record.EXPIRES_AT] <= now then
    return nil
  end
  local position = 0
  if record[Record.STATUS] == 'waitlisted' then
    position = position_of(offering_of(record[Record.OFFERING]), record, enrollment)
  end
  return answer(Outcome.CHANGED, enrollment, packed_records[enrollment], position)
end
