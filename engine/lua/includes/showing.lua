-- Showing an enrollment as it is now.

local function show(enrollment, record)
  local position = 0
  if record[Record.STATUS] == 'waitlisted' then
    position = position_of(offering_of(record[Record.OFFERING]), record, enrollment)
  end
  return answer(Outcome.CHANGED, enrollment, packed_records[enrollment], position)
end
