-- Answers, packed here so that a record that is packed already is not packed again. The layout is that of
-- live/decisions.py: {outcome, seq, fact, enrollment, position, record}; a refusal ends after its fact.

local ARRAY_OF_3, ARRAY_OF_6 = string.char(0x93), string.char(0x96)

local function refuse(outcome, fact)
  return ARRAY_OF_3 .. cmsgpack.pack(outcome, seq, fact or '')
end

local function answer(outcome, enrollment, packed_record, position)
  return ARRAY_OF_6 .. cmsgpack.pack(outcome, seq, '', enrollment, position) .. packed_record
end

local function reply(answers)
  return {Outcome.DECIDED, string.char(0xdd) .. struct.pack('>I4', #answers) .. table.concat(answers)}
end
