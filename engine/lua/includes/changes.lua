-- A batch of requests that change one enrollment each; the verbs differ in `decide`.
-- ARGV 1: msgpack array of {enrollment, member or "" for an officer, actor, channel}.

-- decide(record, by, enrollment) returns an outcome, and a fact for a refusal.
local function run_changes(decide)
  if gate ~= 'open' then
    return {Outcome.NOT_READY}
  end
  if advance() then
    commit()
    return {Outcome.BEHIND}
  end
  local answers = {}
  for index, request in ipairs(cmsgpack.unpack(ARGV[1])) do
    local enrollment, member = request[1], request[2]
    local record = record_of(enrollment)
    if not record or (member ~= '' and record[Record.MEMBER] ~= member) then
      answers[index] = refuse(Outcome.NOT_FOUND)
    else
      local outcome, fact = decide(record, {request[3], request[4]}, enrollment)
      if outcome == Outcome.CHANGED then
        answers[index] = answer(outcome, enrollment, packed_records[enrollment], 0)
      else
        answers[index] = refuse(outcome, fact)
      end
    end
  end
  commit()
  return reply(answers)
end
