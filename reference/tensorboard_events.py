"""A small event file by TensorBoard's own record writer, and what its own reader says about a folder.

usage: tensorboard_events.py [FOLDER]   (a run's tensorboard/NAME: prints its scalars instead)
"""

import io
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).parent / "golden" / "tensorboard.tfevents"


def scalars(pairs):
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in pairs])


if len(sys.argv) > 1:
    events = EventAccumulator(sys.argv[1]).Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, [(event.step, event.value) for event in events.Scalars(tag)])
    sys.exit()

buffer = io.BytesIO()
writer = RecordWriter(buffer)
for event in (
    Event(wall_time=1.5, file_version="brain.Event:2"),
    Event(wall_time=1.5, step=300, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=2.5, step=300, summary=scalars([("loss/joint", 0.25), ("schedule/critique_weight", 1.0)])),
    Event(wall_time=3.5, summary=scalars([("a", -1e9)])),
):
    writer.write(event.SerializeToString())
OUT.write_bytes(buffer.getvalue())
