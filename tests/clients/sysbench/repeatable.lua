-- SPDX-License-Identifier: Apache-2.0
-- oltp_read_write with numbers of our own: sysbench's come out otherwise in each run whatever --rand-seed says, because
-- its threads take their seeds in the order in which they happen to start.
require("oltp_read_write")

local state = 4242

local function number(count)
   -- The minimal standard generator of Park and Miller.
   state = state * 48271 % 2147483647
   return state % count
end

function sysbench.rand.uniform(first, last)
   return first + number(last - first + 1)
end

sysbench.rand.default = sysbench.rand.uniform

function sysbench.rand.string(pattern)
   local text = pattern:gsub("#", function() return tostring(number(10)) end)
   text = text:gsub("@", function() return string.char(97 + number(26)) end)
   return text
end

-- Its name before 1.0, which the table's first rows still come from.
sb_rand = sysbench.rand.uniform

-- Bound texts are made in C.
local connect_and_prepare = thread_init

function thread_init()
   connect_and_prepare()
   local parameter = getmetatable(param[1].inserts[3])
   function parameter.set_rand_str(self, pattern)
      self:set(sysbench.rand.string(pattern))
   end
end
