-- The environment of a script: what it finds, and what it must not reach.
--
-- Functions here use locals only. A script may change the environment of any Lua function it gets hold of; one that
-- reads no globals does not notice.
local native = ...

local error, select, type, tostring, tonumber, unpack = error, select, type, tostring, tonumber, unpack
local next, pairs, rawget, rawset = next, pairs, rawget, rawset
local setmetatable, getmetatable = setmetatable, getmetatable
local getfenv, setfenv, pcall, xpcall = getfenv, setfenv, pcall, xpcall
local resume = coroutine.resume
local sort, insert, concat = table.sort, table.insert, table.concat
local G = _G

local READONLY = "Attempt to modify a readonly table"
-- Protected tables are empty; this is where their content is.
local contents = {}
local sealed = {}
contents[sealed] = {}
setmetatable(sealed, { __newindex = function() error(READONLY, 2) end, __metatable = sealed })

-- Empties a table and answers for it from a hidden copy.
local function protect(t, missing)
  local content = {}
  for k, v in pairs(t) do content[k] = v end
  for k in pairs(content) do t[k] = nil end
  if missing then setmetatable(content, { __index = missing }) end
  contents[t] = content
  setmetatable(t, { __index = content, __newindex = function() error(READONLY, 2) end, __metatable = sealed })
  return content
end

local function nonexistent(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- Once the time is over, nothing that catches errors may keep the script alive. The hook says so where it can; deep in the
-- stack of C it has no room to, so whoever catches an error asks again.
local expired, TIME_OVER = native.is_over, native.time_over
local function pass(ok, ...)
  if not ok and expired() then error(TIME_OVER, 0) end
  return ok, ...
end

local env = {
  _VERSION = _VERSION, assert = assert, error = error, gcinfo = gcinfo, ipairs = ipairs, rawequal = rawequal,
  select = select, tonumber = tonumber, tostring = tostring, type = type,
  loadstring = native.loadstring,
}

-- The original counts in integers of C, and reads beside the stack where the count overflows.
local UNPACK_MAX, INTEGER_MAX = 8000, 2 ^ 31 - 1
function env.unpack(t, i, j)
  local first = tonumber(i == nil and 1 or i)
  local last = tonumber(j == nil and type(t) == "table" and #t or j)
  if first and last then
    local is_sound = first >= -INTEGER_MAX and last <= INTEGER_MAX and last - first < UNPACK_MAX
    if not is_sound then error("too many results to unpack", 2) end
  end
  -- What it is given takes room from what it may answer.
  if i == nil and j == nil then return unpack(t) end
  return unpack(t, i, j)
end

-- Redis hands over the text of an error that is a table.
local function text_of(ok, err, ...)
  if not ok and type(err) == "table" and not contents[err] then
    local text = rawget(err, "err")
    if type(text) == "string" then return false, text end
  end
  return ok, err, ...
end
function env.pcall(...) return text_of(pass(pcall(...))) end
-- A handler that Lua itself calls runs before the error has unwound, inside the hook if that raised it: there no hook sees it,
-- and it could run for ever. Nothing is lost by calling it afterwards, since there is no library to look at the stack with.
local function settle(handler, ok, ...)
  if ok then return true, ... end
  if expired() then error(TIME_OVER, 0) end
  local _, result = pcall(handler, (...))
  return false, result
end
function env.xpcall(f, handler) return pass(settle(handler, pcall(f))) end
function env.next(t, ...) return next(contents[t] or t, ...) end
function env.rawget(t, k) return rawget(contents[t] or t, k) end
function env.pairs(t)
  if contents[t] then return env.next, t, nil end
  return pairs(t)
end
function env.rawset(t, k, v)
  if contents[t] then error(READONLY, 2) end
  return rawset(t, k, v)
end
function env.setmetatable(t, m)
  if contents[t] then error(READONLY, 2) end
  return setmetatable(t, m)
end
function env.getmetatable(v)
  return getmetatable(v)
end
local function level(f)
  return type(f) == "number" and f > 0 and f + 1 or f
end
function env.getfenv(f)
  return getfenv(level(f == nil and 1 or f))
end
function env.setfenv(f, t)
  if f == 0 or contents[f] then error("'setfenv' cannot change environment of given object", 2) end
  return setfenv(level(f), t)
end
-- Other options would let one script stop the collection for all that follow.
function env.collectgarbage(what)
  if what == "count" then return (native.memory()) end
  return 0
end
function env.load(read, name)
  local parts = {}
  while true do
    local part = read()
    if part == nil or part == "" then break end
    if type(part) ~= "string" then return nil, "reader function must return a string" end
    parts[#parts + 1] = part
  end
  return env.loadstring(concat(parts), name or "=(load)")
end

env.coroutine = {
  create = coroutine.create, running = coroutine.running, status = coroutine.status, yield = coroutine.yield,
  resume = function(...) return pass(resume(...)) end,
  wrap = coroutine.wrap,
}

env.table = {
  concat = table.concat, maxn = table.maxn, remove = table.remove, getn = table.getn, setn = table.setn,
  foreach = table.foreach, foreachi = table.foreachi,
  -- Comparing in Lua lets the time limit see it: the sort takes quadratic time on a hostile order.
  sort = function(t, less) return sort(t, less or function(a, b) return a < b end) end,
  -- The original shifts from the end to any position, however far below the first.
  insert = function(t, ...)
    if contents[t] then error(READONLY, 2) end
    local position = ...
    if select("#", ...) == 2 and type(position) == "number" and (position < 1 or position > 2 ^ 31) then
      error("bad argument #2 to 'insert' (position out of bounds)", 2)
    end
    return insert(t, ...)
  end,
}

-- Natives return true and at most two results, or how many results and a table of them, or false and what is wrong. The
-- error is raised here, so that it says where the script was.
local function checked(f)
  return function(...)
    local ok, a, b = f(...)
    if not ok then error(a, 2) end
    if ok == true then
      if b ~= nil then return a, b end
      return a
    end
    return unpack(a, 1, ok)
  end
end
local function library(functions)
  local t = {}
  for name, f in pairs(functions) do t[name] = checked(f) end
  return t
end

local strings = {}
for name, f in pairs(string) do strings[name] = f end
for name, f in pairs(library(native.string)) do strings[name] = f end
function strings.gmatch(text, pattern)
  local step = native.gmatch(text, pattern)
  if type(step) == "string" then error(step, 2) end
  local next_match = checked(step)
  return function() return next_match() end
end
strings.gfind = strings.gmatch
function strings.gsub(text, pattern, replace, limit)
  local kind = type(replace)
  if kind == "number" then replace, kind = tostring(replace), "string" end
  if kind ~= "string" and kind ~= "function" and kind ~= "table" then
    error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
  end
  if kind == "string" then
    local ok, results = native.gsub(text, pattern, replace, limit)
    if not ok then error(results, 2) end
    return results[1], results[2]
  end
  local step = native.gsub_steps(text, pattern, limit)
  if type(step) == "string" then error(step, 2) end
  local parts, count = {}, 0
  while true do
    -- Each step gives what lies before the match, the match, and its captures.
    local n, found = step()
    if not n then error(found, 2) end
    if n == 0 then parts[#parts + 1] = found[1] break end
    count = count + 1
    local value
    if kind == "table" then value = replace[found[3]] else value = replace(unpack(found, 3, n)) end
    if not value then value = found[2]
    elseif type(value) ~= "string" and type(value) ~= "number" then
      error("invalid replacement value (a " .. type(value) .. ")", 2)
    end
    parts[#parts + 1] = found[1]
    parts[#parts + 1] = value
  end
  return concat(parts), count
end

local maths = {}
for name, f in pairs(math) do maths[name] = f end
maths.random, maths.randomseed = checked(native.random), checked(native.randomseed)

env.string, env.math = strings, maths
env.bit, env.struct, env.cmsgpack = library(native.bit), library(native.struct), library(native.cmsgpack)
env.cjson = library(native.cjson)
env.cjson.null = native.null
env.cjson._NAME, env.cjson._VERSION = "cjson", "2.1.0"

-- Redis's errors are tables whose field `err` starts with a code.
local function failure(text)
  if type(text) == "string" and text:sub(1, 1) == "-" then
    local code, rest = native.split_code(text)
    return { err = code .. " " .. rest }
  end
  return { err = "ERR " .. text }
end
local function raise(text) error(failure(text), 0) end

local redis = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_SLAVE = 1, REPL_REPLICA = 1, REPL_AOF = 2, REPL_ALL = 3,
  REDIS_VERSION = native.version, REDIS_VERSION_NUM = native.version_number,
}
-- What an answer is besides a value; see `Kind`.
local OK, STATUS, AGAIN, OUTSIDE = 1, 2, 4, 5
-- More arguments than this come in a table.
local FEW = native.few
local call, call_list, may_call = native.call, native.call_list, native.may_call
local function finish(raises, answer, kind, ...)
  if kind == AGAIN then answer, kind = call_list({...}, select("#", ...)) end
  if not kind then return answer end
  if kind == STATUS then return { ok = answer } end
  if kind == OK then return { ok = "OK" } end
  if kind == OUTSIDE then raise("redis.call/pcall can only be called inside a script invocation") end
  if raises then error({ err = answer }, 0) end
  return { err = answer }
end
-- Called in a tail position these take the place of the script's frame, as any function of Lua does: the error then does not
-- say where it was.
function redis.call(...)
  local count = select("#", ...)
  if count > FEW then return finish(true, nil, AGAIN, ...) end
  local answer, kind = call(count, ...)
  if not kind then return answer end
  if kind == OK then return { ok = "OK" } end
  return finish(true, answer, kind, ...)
end
function redis.pcall(...)
  local count = select("#", ...)
  if count > FEW then return finish(false, nil, AGAIN, ...) end
  local answer, kind = call(count, ...)
  if not kind then return answer end
  return finish(false, answer, kind, ...)
end
function redis.sha1hex(...)
  if select("#", ...) ~= 1 then raise("wrong number of arguments") end
  return native.sha1hex((...))
end
function redis.error_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then return failure("wrong number or type of arguments") end
  if text:sub(1, 1) ~= "-" then text = "-" .. text end
  return failure(text)
end
function redis.status_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then return failure("wrong number or type of arguments") end
  return { ok = text }
end
function redis.log(...)
  local count = select("#", ...)
  if count < 2 then raise("redis.log() requires two arguments or more.") end
  local severity = ...
  if type(severity) ~= "number" then raise("First argument must be a number (log level).") end
  if severity < 0 or severity > 3 then raise("Invalid debug level.") end
  local words = {}
  for i = 2, count do
    local word = select(i, ...)
    if type(word) == "string" or type(word) == "number" then words[#words + 1] = word end
  end
  local text = concat(words, " ")
  native.log(severity, text)
end
function redis.setresp(...)
  if not may_call() then raise("redis.setresp can only be called inside a script invocation") end
  if select("#", ...) ~= 1 then raise("redis.setresp() requires one argument.") end
  local version = ...
  if version ~= 2 and version ~= 3 then raise("RESP version must be 2 or 3.") end
  native.setresp(version)
end
-- Every script's effects are replicated, whether it asks for it or not.
function redis.replicate_commands() return true end
function redis.set_repl(...)
  if not may_call() then raise("redis.set_repl can only be called inside a script invocation") end
  if select("#", ...) ~= 1 then raise("redis.set_repl() requires two arguments.") end
  local flags = ...
  if type(flags) ~= "number" or flags < 0 or flags > 3 then
    raise("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
  end
  if flags ~= 3 then raise("Isles replicates every write; redis.set_repl() can only ask for redis.REPL_ALL.") end
end
function redis.acl_check_cmd(...)
  if not may_call() then raise("redis.acl_check_cmd can only be called inside a script invocation") end
  if not native.is_command((...)) then raise("Invalid command passed to redis.acl_check_cmd()") end
  return true
end

-- What a library finds while it is loaded, and what its functions find when they are called.
local loading = {}
local running = {}
for name, value in pairs(env) do running[name] = value end
local load_api = { log = redis.log }
for name, value in pairs(redis) do if type(value) ~= "function" then load_api[name] = value end end
-- What the library that is being loaded has registered.
local functions
local function add(name, f, flags, description)
  functions[#functions + 1] = { name = name, callback = f, flags = flags, description = description }
end
function load_api.register_function(...)
  local count, first, second = select("#", ...), ...
  if count < 1 or count > 2 then raise("wrong number of arguments to redis.register_function") end
  if not functions then raise("redis.register_function can only be called on FUNCTION LOAD command") end
  if count == 2 then
    if type(first) ~= "string" then raise("first argument to redis.register_function must be a string") end
    if type(second) ~= "function" then raise("second argument to redis.register_function must be a function") end
    return add(first, second, {})
  end
  if type(first) ~= "table" then
    raise("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
  end
  local name, callback, flags, description
  for key, value in pairs(first) do
    if type(key) ~= "string" then raise("named argument key given to redis.register_function is not a string") end
    if key == "function_name" then
      if type(value) ~= "string" then raise("function_name argument given to redis.register_function must be a string") end
      name = value
    elseif key == "description" then
      if type(value) ~= "string" then raise("description argument given to redis.register_function must be a string") end
      description = value
    elseif key == "callback" then
      if type(value) ~= "function" then raise("callback argument given to redis.register_function must be a function") end
      callback = value
    elseif key == "flags" then
      if type(value) ~= "table" then raise("flags argument to redis.register_function must be a table representing function flags") end
      flags = value
    else
      raise("unknown argument given to redis.register_function")
    end
  end
  if not name then raise("redis.register_function must get a function name argument") end
  if not callback then raise("redis.register_function must get a callback argument") end
  for _, flag in pairs(flags or {}) do
    if type(flag) ~= "string" then raise("unknown flag given") end
  end
  add(name, callback, flags or {}, description)
end
loading.redis = load_api
running.redis, env.redis = redis, redis

-- The string methods are found through the metatable of strings, whose __index is the original table.
for name in pairs(string) do string[name] = nil end
for name, f in pairs(strings) do string[name] = f end
env.string, running.string = string, string
local string_meta = getmetatable("")
string_meta.__metatable = sealed
protect(string)
for _, t in ipairs({ maths, env.table, env.coroutine, env.bit, env.struct, env.cmsgpack, env.cjson, redis }) do
  protect(t)
end
protect(load_api, nonexistent)

-- The table of globals itself: C functions and loaded chunks have it as their environment.
for name in pairs(G) do G[name] = nil end
for name, value in pairs(env) do G[name] = value end
G._G = G
local globals = protect(G, nonexistent)

-- Functions of libraries see one table of globals, whose content depends on whether a library is being loaded.
local shared = {}
running._G = shared
setmetatable(loading, { __index = nonexistent })
setmetatable(running, { __index = nonexistent })
local shared_meta = { __index = running, __newindex = function() error(READONLY, 2) end, __metatable = sealed }
contents[shared] = running
setmetatable(shared, shared_meta)

local function explain(err)
  if expired() then return TIME_OVER end
  if type(err) ~= "table" then err = { err = "ERR " .. tostring(err) } end
  local source, line = native.where()
  if source and not contents[err] then
    rawset(err, "source", source)
    rawset(err, "line", line)
  end
  return err
end

-- A text leaves by itself, which spares it an object in between.
local function ended(ok, value)
  if type(value) == "string" then return ok, nil, value end
  return ok, value
end
local api = {}
function api.script(f, keys, argv)
  globals.KEYS, globals.ARGV = keys, argv
  return ended(xpcall(f, explain))
end
function api.call(f, keys, argv)
  return ended(xpcall(function() return f(keys, argv) end, explain))
end
function api.load(f)
  setfenv(f, shared)
  shared_meta.__index, contents[shared] = loading, loading
  functions = {}
  local ok, result = xpcall(f, explain)
  local registered = functions
  functions = nil
  shared_meta.__index, contents[shared] = running, running
  if ok then return true, registered end
  return ended(false, result)
end
return api
