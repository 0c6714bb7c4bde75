"""A chat with libqins through ctypes: each line of standard input is a message, replies stream to standard output.
    python3 chat.py model.qins [libqins.so.0]"""
import sys
from ctypes import *

def struct(name, **fields):
    return type(name, (Structure,), {"_fields_": list(fields.items())})

Error = struct("Error", status=c_int, message=c_char * 2048)
Ids = struct("Ids", data=POINTER(c_int32), count=c_size_t, capacity=c_size_t)
Message = struct("Message", role=c_char_p, content=c_char_p, size=c_size_t)
SessionOptions = struct("SessionOptions", n_ctx=c_size_t, k_type=c_int, v_type=c_int, matmul=c_int, rope_long=c_bool)
Sampler = struct("Sampler", temperature=c_float, top_k=c_size_t, top_p=c_float, min_p=c_float, repeat_penalty=c_float,
                 frequency_penalty=c_float, presence_penalty=c_float, seed=c_uint64)
Options = struct("Options", ids=POINTER(c_int32), n_ids=c_size_t, max_tokens=c_size_t, sampler=Sampler,
                 biases=c_void_p, n_biases=c_size_t, stops=POINTER(c_char_p), n_stops=c_size_t, wants_logprobs=c_bool,
                 n_top=c_size_t)
Candidate = struct("Candidate", id=c_int32, logprob=c_double)
Event = struct("Event", kind=c_int, token=Candidate, top=POINTER(Candidate), n_top=c_size_t, text=POINTER(c_char),
               size=c_size_t, finish=c_int, stop_id=c_int32, stop_text=c_char_p)
TEXT, END = 2, 3  # kinds of events

qins = CDLL(sys.argv[2] if len(sys.argv) > 2 else "libqins.so.0")
for name in "model_open", "engine_create", "session_create", "generation_create", "generation_ids":
    getattr(qins, "qins_" + name).restype = c_void_p
qins.qins_session_defaults.restype = SessionOptions
qins.qins_generation_defaults.restype = Options
error = Error()

def call(name, *arguments):
    """A function that can fail; objects are passed as pointers."""
    result = getattr(qins, "qins_" + name)(*arguments, byref(error))
    if error.status != 0:
        sys.exit(f"chat.py: {error.message.decode()}")
    return c_void_p(result)

model = call("model_open", sys.argv[1].encode())
engine = call("engine_create", byref(model), c_size_t(1), c_size_t(0))
session = call("session_create", engine, model, byref(qins.qins_session_defaults()))
ids = Ids()  # the conversation; the session computes only what is new in it
for line in sys.stdin.buffer:
    text = line.rstrip(b"\n")
    call("model_encode_chat", model, byref(Message(b"user", text, len(text))), c_size_t(1), 0, byref(ids))
    options = qins.qins_generation_defaults()
    options.ids, options.n_ids = ids.data, ids.count
    generation, event, count = call("generation_create", session, byref(options)), Event(), c_size_t()
    while event.kind != END:
        call("generation_next", generation, byref(event))
        if event.kind == TEXT:
            sys.stdout.buffer.write(event.text[:event.size])
            sys.stdout.flush()
    print(flush=True)
    all_ids = cast(qins.qins_generation_ids(generation, byref(count)), POINTER(c_int32))
    for i in range(ids.count, count.value):  # the reply, and the id that ended it
        call("ids_append", byref(ids), c_int32(all_ids[i]))
    qins.qins_generation_free(generation)
qins.qins_ids_free(byref(ids))
qins.qins_session_free(session), qins.qins_engine_free(engine), qins.qins_model_close(model)
