#!/usr/bin/env python3
"""What many clients get of a server with OpenAI's API, ours or another, beside one client alone.

usage: bench/clients.py URL [--clients 16] [--requests 4] [--prompt 48] [--tokens 64]

Every client asks POST URL/v1/completions over its own connection, the next question as soon as it has its answer. All prompts are
different: `--prompt` made-up words. Counts are the server's own (`usage`). Prints one JSON object: tokens/s of all answers
together, seconds until an answer, and how many tokens prompts and answers had on average; `alone` is the same of one client.
"""
import argparse
import http.client
import json
import random
import statistics
import threading
import time
from urllib.parse import urlsplit


def words(count, seed):
    rng = random.Random(seed)
    return " ".join("".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4)) for _ in range(count))


def ask(connection, options, seed):
    body = {"prompt": words(options.prompt, seed), "max_tokens": options.tokens, "temperature": 1, "seed": seed}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {text[:200].decode(errors='replace')}")
    return json.loads(text)["usage"]


def serve(options, clients, first_seed):
    answers, failures = [], []

    def client(number):
        try:
            connection = http.client.HTTPConnection(urlsplit(options.url).netloc, timeout=600)
            for i in range(options.requests):
                start = time.perf_counter()
                usage = ask(connection, options, first_seed + number * options.requests + i)
                answers.append((time.perf_counter() - start, usage["prompt_tokens"], usage["completion_tokens"]))
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    if failures:
        raise failures[0]
    latency = sorted(seconds for seconds, _, _ in answers)
    return {"clients": clients,
            "tokens_per_s": sum(made for _, _, made in answers) / elapsed,
            "latency_s_p50": latency[len(latency) // 2],
            "latency_s_p95": latency[min(len(latency) - 1, len(latency) * 95 // 100)],
            "prompt_tokens": statistics.fmean(read for _, read, _ in answers),
            "answer_tokens": statistics.fmean(made for _, _, made in answers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="http://127.0.0.1:8020")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=4, help="of each client")
    parser.add_argument("--prompt", type=int, default=48, help="words")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer, at most")
    options = parser.parse_args()
    alone = serve(options, 1, 1)
    together = serve(options, options.clients, 1000)
    together["alone"] = alone
    together["gain"] = together["tokens_per_s"] / alone["tokens_per_s"]
    print(json.dumps(together, indent=1))


if __name__ == "__main__":
    main()
