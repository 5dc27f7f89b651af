"""Code that uses an executor, on the network: the one line that changes is the one that makes it."""

from concurrent.futures import as_completed

from pydantic import BaseModel

from ogpu import Client, NetworkExecutor
from ogpu.client import ImageEnvironments, SourceInfo


class Text(BaseModel):
    text: str


def echo(data: Text) -> Text:
    """Runs here in a ThreadPoolExecutor, and on a provider in a NetworkExecutor: the name is what counts."""
    return data


with Client() as client:
    image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
    source = client.publish_source(SourceInfo("Executor", "Repeats", "", image, 10**15, 0, 3600))
    with NetworkExecutor(client, source, payment=10**16) as pool:  # was: ThreadPoolExecutor() as pool
        futures = [pool.submit(echo, Text(text=word)) for word in ("one", "two", "three")]
        print(sorted(future.result().text for future in as_completed(futures)))
        print([result.text for result in pool.map(echo, [Text(text="four"), Text(text="five")])])
