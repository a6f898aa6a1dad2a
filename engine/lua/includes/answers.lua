-- Answers, packed here so that a record that is packed already is not packed again. The layout is that of
-- live/decisions.py: {outcome, seq, fact, enrollment, position, record}; a refusal ends after its fact.

local ARRAY_OF_6 = string.char(0x96)

-- Refusals come in runs: the same one is packed once.
local last = {}

local function refuse(outcome, fact)
  if last.outcome ~= outcome or last.fact ~= fact or last.seq ~= seq then
    last = {outcome = outcome, fact = fact, seq = seq, packed = cmsgpack.pack({outcome, seq, fact or ''})}
  end
  return last.packed
end

local function answer(outcome, enrollment, packed_record, position)
  return ARRAY_OF_6 .. cmsgpack.pack(outcome, seq, '', enrollment, position) .. packed_record
end

local function reply(answers)
  return {Outcome.DECIDED, string.char(0xdd) .. struct.pack('>I4', #answers) .. table.concat(answers)}
end
