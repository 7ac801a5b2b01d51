"""Slow senders, and an honest client among them.

    python slow.py --senders 500 --seconds 120

A third of the senders trickle a request's head, a third a JSON body, a third a form, a byte every half second; each begins again as soon as
it is cut. It must hold: each is cut at its deadline, with a 408 and the end of the connection, no sooner than the deadline and
at most two seconds later; an honest client's requests are all answered, 99 of 100 within 100 ms.
"""
import argparse
import asyncio
import json
import time

import box as boxes

# The server's: ten seconds for a head; for a body as many, and its bytes at 16 KiB a second.
DEADLINE = 10
HEAD = b"GET /v1/videos HTTP/1.1\r\nhost: localhost\r\nx-filler: "
JSON = b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{\"prompt\": \""
FORM = (b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n"
        b"--b\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\n")


async def trickle(path, beginning, cuts, end):
    """One slow sender after another until `end`; appends how long each was left."""
    while time.monotonic() < end:
        reader, writer = await asyncio.open_unix_connection(path)
        began = time.monotonic()
        writer.write(beginning)
        answer = asyncio.ensure_future(boxes.answer(reader))
        while not answer.done():
            await asyncio.wait([answer], timeout=0.5)
            if not answer.done():
                try:
                    writer.write(b"a")
                    await writer.drain()
                except ConnectionError:
                    pass
        status, headers, content = answer.result()
        cuts.append(time.monotonic() - began)
        assert status == 408 and headers["connection"] == "close" and json.loads(content)["error"]["code"] == "request_timeout", (status, content)
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
        writer.close()


async def senders(path, count, seconds):
    cuts, end = [], time.monotonic() + seconds
    await asyncio.gather(*[trickle(path, [HEAD, JSON, FORM][number % 3], cuts, end) for number in range(count)])
    return cuts


def run(count, seconds, most=0.1):
    with boxes.Box() as box:
        box.finish(boxes.TINY)
        honest = boxes.Honest(box, seconds)
        cuts = asyncio.run(senders(box.socket, count, seconds))
        times = honest.times()
        late = boxes.percentile(times, 0.99)
        print(f"{count} slow senders for {seconds:.0f} s: {len(cuts)} cut after {min(cuts):.1f} to {max(cuts):.1f} s; an honest client's "
              f"{len(times)} requests: median {boxes.percentile(times, 0.5) * 1000:.1f} ms, p99 {late * 1000:.1f} ms, "
              f"longest {max(times) * 1000:.0f} ms")
        assert len(cuts) >= count and min(cuts) >= DEADLINE - 0.1 and max(cuts) <= DEADLINE + 2
        assert late < most, f"p99 {late:.3f} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--senders", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    run(arguments.senders, arguments.seconds)
