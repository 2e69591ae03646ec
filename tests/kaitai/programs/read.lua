-- Reads the files named on stdin with generated Lua parsers, and writes what they give.
require("meta")
require("metrics")
require("probe")

local function hex(data)
  return (data:gsub(".", function(c) return string.format("%02x", c:byte()) end))
end

local function text(read)
  return read and "x" .. hex(read.value) or "-"
end

local function read(kind, stream)
  if kind == "meta" then
    local m = Meta(stream)
    print("value " .. table.concat({m.version, m.timestamp, text(m.commit_id), text(m.job_name), text(m.user)}, " "))
  elseif kind == "probe" then
    local p = Probe(stream)
    print("value " .. table.concat({p.magic, p.serial, text(p.note), p.default_field}, " "))
  end
  while kind == "metrics" and not stream:is_eof() do
    local r = Metrics.Record(stream)
    print("value " .. table.concat({r.timestamp, r.step, hex(string.pack(">d", r.value)), text(r.name)}, " "))
  end
end

for line in io.lines() do
  local kind, path = line:match("^(%S+) (%S+)$")
  local ok, problem = pcall(read, kind, KaitaiStream(assert(io.open(path, "rb"))))
  print(ok and "end" or "end " .. tostring(problem):gsub("^%S+:%d+: ", ""))
end
