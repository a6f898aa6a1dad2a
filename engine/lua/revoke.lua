#!lua flags=allow-oom
-- Revokes an invitation code: it opens nothing any more. Enrollments that came in by it stay; again, nothing changes.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  offering
-- ARGV 2  the code's id
-- ARGV 3  actor
-- ARGV 4  channel
-- Output  {decided, seq, the code as in CODES}; {not_found}; or {not_ready}, {behind}
-- Events  code_revoked; and what time brought about before
--
-- @include state records codes commit seats waiting advance

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end
local id = ARGV[2]
local code = code_of(id)
if not code or code[Code.OFFERING] ~= ARGV[1] then
  commit()
  return {Outcome.NOT_FOUND}
end
local was_revoked = code[Code.REVOKED] == 1
code[Code.REVOKED] = 1
codes_changed[id] = true
commit()
if not was_revoked then
  log_codes('code_revoked', {ARGV[3], ARGV[4]}, code, cmsgpack.pack({id}))
end
return {Outcome.DECIDED, seq, cmsgpack.pack(code)}
