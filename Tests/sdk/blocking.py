"""Makes an asynchronous SDK client look like a blocking one, so that the same tests drive both."""
import asyncio
import inspect

LOOP = asyncio.new_event_loop()


class Blocking:
    """Something of an asynchronous client. Its attributes are alike; what its calls give is waited for."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return Blocking(getattr(self._target, name))

    def __call__(self, *arguments, **options):
        return settle(self._target(*arguments, **options))


class Sequence:
    """What can be iterated over asynchronously: a page and those after it, or a stream."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return getattr(self._target, name)

    def __iter__(self):
        iterator = self._target.__aiter__()
        while True:
            try:
                yield LOOP.run_until_complete(iterator.__anext__())
            except StopAsyncIteration:
                return


def settle(result):
    if inspect.isawaitable(result):

        async def wait():
            return await result

        result = LOOP.run_until_complete(wait())
    return Sequence(result) if hasattr(result, "__aiter__") and not hasattr(result, "read") else result
