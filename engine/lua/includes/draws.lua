-- When the draws of a campaign are due.

-- When the entries of an offering are to be drawn, or nil when they are not, or were.
local function draws_at(offering)
  if not offering.collects or offering.draw > 0 then
    return nil
  end
  return offering.collects
end

local function next_draw_at(offerings)
  local at
  for _, offering in ipairs(offerings) do
    local moment = draws_at(offering)
    if moment and (not at or moment < at) then
      at = moment
    end
  end
  return at
end

-- META has it for those who look whether there is a draw to hold.
local function note_next_draw(offerings)
  local at = next_draw_at(offerings)
  if at then
    redis.call('HSET', Key.META, 'draw_at', at)
  else
    redis.call('HDEL', Key.META, 'draw_at')
  end
end
