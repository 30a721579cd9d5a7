"""Asks the service: `python ask.py HOST:PORT "What is the capital of Peru?"`; needs `pip install openai`."""

import sys

import openai


def main() -> None:
    """Print the answer as it comes."""
    endpoint, question = sys.argv[1:]
    client = openai.OpenAI(base_url=f"http://{endpoint}/v1", api_key="none")
    asked = [{"role": "user", "content": question}]
    for part in client.chat.completions.create(
        model="chat", messages=asked, temperature=0, max_tokens=200, stream=True
    ):
        if part.choices:
            print(part.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
