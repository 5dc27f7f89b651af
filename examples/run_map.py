"""One call of a function on the network, and many, with bounds: run it again after a Ctrl+C, it goes on."""

from pydantic import BaseModel

from ogpu import Client, Retry
from ogpu.client import ImageEnvironments, SourceInfo


class Text(BaseModel):
    text: str


with Client() as client:
    image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
    info = SourceInfo("Run and map", "Repeats what it gets", "", image, 10**15, 0, 3600)
    source = client.publish_source(info, idempotency_key="run-map/source")

    answer = client.run(source, "echo", Text(text="Hello, GPU"), payment=10**16, model=Text)
    print(answer.text)

    lines = (Text(text=f"line {number}") for number in range(20))
    results = client.map(
        source,
        "echo",
        lines,
        payment=10**15,
        model=Text,
        in_flight=8,
        budget=10**18,
        retries=Retry(attempts=3),
        idempotency_key="run-map/lines",
    )
    print(sum(len(result.text) for result in results), "characters came back")
