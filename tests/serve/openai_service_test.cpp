#include "serve/openai_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "core/error.h"
#include "serve/raw_client.h"

namespace shenhong {
namespace {

// Says its pieces; a prompt is one id per byte.
Generator fake_generator(std::vector<std::string> pieces) {
  Generator g;
  g.name = "fake";
  g.context_tokens = 32;
  g.vocab_size = 256;
  g.encode = [](std::string_view text) { return std::vector<int>(text.begin(), text.end()); };
  g.text_prompt = [](std::string_view text) {
    std::vector<int> ids(text.begin(), text.end());
    ids.insert(ids.begin(), 0);
    return ids;
  };
  g.chat_prompt = [](const std::vector<Message>& messages) {
    std::string text;
    for (const Message& m : messages) text += m.content;
    return std::vector<int>(text.begin(), text.end());
  };
  g.decode = [](std::span<const int> ids) { return std::string(ids.begin(), ids.end()); };
  g.generate = [pieces](const GenerateRequest& request, const OnPiece& on_piece,
                        std::stop_token stop) {
    GenerateResult result;
    result.prompt_tokens = int(request.prompt.size());
    result.decode_s = 0.5;
    for (const std::string& piece : pieces) {
      if (request.max_tokens > 0 && int(result.tokens.size()) == request.max_tokens) {
        result.finish = Finish::kLength;
        break;
      }
      result.text += piece;
      result.tokens.push_back(7);
      if (!on_piece(piece) || stop.stop_requested()) {
        result.finish = Finish::kCancelled;
        break;
      }
    }
    return result;
  };
  return g;
}

class RunningService {
 public:
  explicit RunningService(Generator generator, ServiceOptions options = {})
      : service_(std::move(generator), std::move(options), [] { return false; }),
        server_(service_.routes()) {}
  int port() const { return server_.port(); }
  std::string ask(const std::string& request) { return RawClient(port()).ask(request); }

 private:
  OpenAiService service_;
  RunningServer server_;
};

std::string chat_body(const std::string& more = "") {
  return R"({"model":"fake","messages":[{"role":"user","content":"hi"}])" + more + "}";
}
std::string chat(const std::string& more = "") {
  return post("/v1/chat/completions", chat_body(more));
}

// The data of each event of a stream.
std::vector<std::string> events_of(RawClient& client) {
  std::vector<std::string> events;
  const std::string stream = client.read_until("\r\n0\r\n\r\n");
  for (size_t at = 0; (at = stream.find("data: ", at)) != stream.npos;) {
    at += 6;
    events.push_back(stream.substr(at, stream.find("\n\n", at) - at));
  }
  return events;
}

// The names of an object's members, in order.
std::string keys(const Json& object) {
  std::string names;
  for (const auto& [key, value] : object.items()) names += (names.empty() ? "" : " ") + key;
  return names;
}

TEST(OpenAiService, a_chat_answer_has_the_published_shape) {
  RunningService service(fake_generator({"床前", "明月光"}));
  const std::string answer = service.ask(chat());
  ASSERT_EQ(status_of(answer), 200) << answer;
  const Json json = parse_json(body_of(answer), "answer");
  EXPECT_EQ(keys(json), "id object created model choices usage timings");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_GE(json["id"].get<std::string>().size(), 9u + 24u);
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_TRUE(json["created"].is_number_integer());
  EXPECT_EQ(json["model"], "fake");
  ASSERT_EQ(json["choices"].size(), 1u);
  EXPECT_EQ(json["choices"][0],
            parse_json(R"({"index":0,"message":{"role":"assistant","content":"床前明月光",
            "refusal":null},"logprobs":null,"finish_reason":"stop"})",
                       "expected"));
  EXPECT_EQ(json["usage"], parse_json(R"({"prompt_tokens":2,"completion_tokens":2,"total_tokens":4,
            "prompt_tokens_details":{"cached_tokens":0}})",
                                      "expected"));
  EXPECT_EQ(json["timings"]["tokens_per_s"], 4.0);
}

TEST(OpenAiService, a_stream_begins_with_the_role_and_ends_with_reason_usage_and_done) {
  RunningService service(fake_generator({"床前", "明月光"}));
  RawClient client(service.port());
  client.send(chat(R"(,"stream":true,"stream_options":{"include_usage":true})"));
  const std::vector<std::string> events = events_of(client);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events.back(), "[DONE]");
  std::vector<Json> chunks;
  std::set<std::string> same;
  for (size_t i = 0; i < 5; ++i) {
    chunks.push_back(parse_json(events[i], "chunk"));
    EXPECT_EQ(chunks[i]["object"], "chat.completion.chunk");
    same.insert(dump_json({chunks[i]["id"], chunks[i]["created"], chunks[i]["model"]}));
  }
  EXPECT_EQ(same.size(), 1u) << "id, created and model are the same in every chunk";
  const auto choice = [&](size_t i) { return dump_json(chunks[i]["choices"]); };
  EXPECT_EQ(
      choice(0),
      R"([{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(1),
            R"([{"index":0,"delta":{"content":"床前"},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(2),
            R"([{"index":0,"delta":{"content":"明月光"},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(3), R"([{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}])");
  EXPECT_EQ(choice(4), "[]");
  for (size_t i = 0; i < 4; ++i)
    EXPECT_TRUE(chunks[i].contains("usage") && chunks[i]["usage"].is_null());
  EXPECT_EQ(chunks[4]["usage"]["total_tokens"], 4);
  EXPECT_EQ(chunks[3]["timings"]["tokens_per_s"], 4.0);
}

TEST(OpenAiService, without_include_usage_no_chunk_speaks_of_it) {
  RunningService service(fake_generator({"a"}));
  RawClient client(service.port());
  client.send(chat(R"(,"stream":true,"max_tokens":1)"));
  const std::vector<std::string> events = events_of(client);
  ASSERT_EQ(events.size(), 4u);
  for (const std::string& event : events) EXPECT_EQ(event.find("usage"), event.npos);
}

TEST(OpenAiService, the_token_limit_shows_as_length) {
  RunningService service(fake_generator({"a", "b", "c"}));
  const Json json =
      parse_json(body_of(service.ask(chat(R"(,"max_completion_tokens":2)"))), "answer");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "ab");
}

TEST(OpenAiService, completions_have_their_own_shape_and_keep_the_order_of_prompts) {
  RunningService service(fake_generator({"a", "b"}));
  const Json json = parse_json(
      body_of(service.ask(post("/v1/completions", R"({"prompt":["x","yy"],"max_tokens":2})"))),
      "answer");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(json["object"], "text_completion");
  ASSERT_EQ(json["choices"].size(), 2u);
  EXPECT_EQ(dump_json(json["choices"][1]),
            R"({"index":1,"text":"ab","logprobs":null,"finish_reason":"stop"})");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 2 + 3);

  RawClient client(service.port());
  client.send(post("/completions", R"({"prompt":[1,2],"stream":true})"));
  const auto events = events_of(client);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(parse_json(events[1], "chunk")["choices"][0]["text"], "a");
  EXPECT_EQ(parse_json(events[3], "chunk")["choices"][0]["finish_reason"], "stop");
}

TEST(OpenAiService, models_are_listed_and_shown_with_and_without_v1) {
  RunningService service(fake_generator({}), {.alias = "gpt-x"});
  const Json list = parse_json(body_of(service.ask(get("/v1/models"))), "answer");
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "fake");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_TRUE(list["data"][0]["created"].is_number_integer());
  EXPECT_TRUE(list["data"][0]["owned_by"].is_string());
  EXPECT_EQ(parse_json(body_of(service.ask(get("/models/fake/"))), "answer"), list["data"][0]);
  EXPECT_EQ(status_of(service.ask(get("/v1/models/gpt-x"))), 200);
  const std::string missing = service.ask(get("/v1/models/gpt-9"));
  EXPECT_EQ(status_of(missing), 404);
  EXPECT_NE(missing.find("\"code\":\"model_not_found\""), missing.npos);
  const std::string unknown = service.ask(post(
      "/v1/chat/completions", R"({"model":"gpt-9","messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(status_of(unknown), 404);
  EXPECT_NE(unknown.find("\"param\":\"model\""), unknown.npos);
}

TEST(OpenAiService, where_memory_ends_the_context_the_refusal_says_so) {
  Generator generator = fake_generator({"a"});
  generator.cache_limits_context = true;
  RunningService service(generator);
  for (const std::string& asked :
       {chat(R"(,"max_tokens":31)"),
        post("/v1/chat/completions", R"({"messages":[{"role":"user","content":")" +
                                         std::string(32, 'x') + R"("}]})")}) {
    const std::string answer = service.ask(asked);
    EXPECT_EQ(status_of(answer), 400);
    EXPECT_NE(answer.find("--cache-mib"), answer.npos);
  }
}

TEST(OpenAiService, a_prompt_that_fills_the_context_is_refused_with_both_numbers) {
  RunningService service(fake_generator({"a"}));
  const std::string prompt(32, 'x');
  const std::string answer = service.ask(post(
      "/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + prompt + R"("}]})"));
  EXPECT_EQ(status_of(answer), 400);
  const Json error = parse_json(body_of(answer), "answer")["error"];
  EXPECT_EQ(keys(error), "message type param code n_prompt_tokens n_ctx");
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["n_prompt_tokens"], 32);
  EXPECT_EQ(error["n_ctx"], 32);
  EXPECT_EQ(answer.find("--cache-mib"), answer.npos) << "more memory would not help";
  EXPECT_EQ(status_of(service.ask(chat(R"(,"max_tokens":30)"))), 200) << "2 + 30 fit";
  const std::string over = service.ask(chat(R"(,"max_tokens":31)"));
  EXPECT_EQ(status_of(over), 400);
  EXPECT_NE(over.find("at most 30"), over.npos) << over;
}

TEST(OpenAiService, ids_outside_the_vocabulary_are_refused) {
  RunningService service(fake_generator({"a"}));
  EXPECT_EQ(status_of(service.ask(post("/v1/completions", R"({"prompt":[255]})"))), 200);
  EXPECT_EQ(status_of(service.ask(post("/v1/completions", R"({"prompt":[256]})"))), 400);
}

TEST(OpenAiService, the_key_guards_all_but_health) {
  RunningService service(fake_generator({"a"}), {.api_key = "geheim"});
  EXPECT_EQ(status_of(service.ask(get("/health"))), 200);
  const std::string refused = service.ask(get("/v1/models"));
  EXPECT_EQ(status_of(refused), 401);
  EXPECT_NE(refused.find("WWW-Authenticate: Bearer\r\n"), refused.npos);
  EXPECT_NE(refused.find("\"code\":\"invalid_api_key\""), refused.npos);
  EXPECT_EQ(status_of(service.ask(get("/v1/models", "Authorization: Bearer geheimx\r\n"))), 401);
  EXPECT_EQ(status_of(service.ask(get("/v1/models", "Authorization: Bearer g\r\n"))), 401);
  EXPECT_EQ(status_of(service.ask(get("/v1/models", "Authorization: Bearer geheim\r\n"))), 200);
  EXPECT_EQ(status_of(service.ask(get("/v1/models", "X-Api-Key: geheim\r\n"))), 200);
}

TEST(OpenAiService, tokens_go_there_and_back) {
  RunningService service(fake_generator({}));
  const Json plain = parse_json(
      body_of(service.ask(post("/tokenize", R"({"prompt":"ab","add_special_tokens":false})"))),
      "answer");
  EXPECT_EQ(dump_json(plain["tokens"]), "[97,98]");
  EXPECT_EQ(plain["count"], 2);
  EXPECT_EQ(
      parse_json(body_of(service.ask(post("/tokenize", R"({"prompt":"ab"})"))), "answer")["count"],
      3);
  const Json back =
      parse_json(body_of(service.ask(post("/detokenize", R"({"tokens":[97,98]})"))), "answer");
  EXPECT_EQ(back["prompt"], "ab");
  for (const char* bad : {"{}", R"({"tokens":5})", R"({"tokens":[256]})", R"({"tokens":[-1]})",
                          R"({"tokens":["a"]})"}) {
    EXPECT_EQ(status_of(service.ask(post("/detokenize", bad))), 400) << bad;
  }
}

TEST(OpenAiService, a_failing_generator_is_a_500_or_the_last_event) {
  Generator broken = fake_generator({});
  broken.generate = [](const GenerateRequest&, const OnPiece& on_piece, std::stop_token) {
    on_piece("half");
    fail(Exit::kFailure, "the logit of token 5 is not a number");
    return GenerateResult{};
  };
  RunningService service(broken);
  const std::string whole = service.ask(chat());
  EXPECT_EQ(status_of(whole), 500);
  EXPECT_NE(whole.find("X-Should-Retry: false\r\n"), whole.npos);
  RawClient client(service.port());
  client.send(chat(R"(,"stream":true)"));
  const auto events = events_of(client);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(keys(parse_json(events[2], "event")["error"]), "message type param code");
  EXPECT_EQ(status_of(service.ask(get("/health"))), 200);
}

// Looks one fact up, whatever is asked.
Generator grounded_generator(std::string* mode) {
  Generator g = fake_generator({"plain"});
  g.facts = 7;
  g.generate_grounded = [mode](const std::vector<Message>& messages, const GenerateRequest& request,
                               const GroundingOptions& options, const OnPiece& on_piece,
                               std::stop_token) {
    EXPECT_EQ(messages.back().content, "hi");
    EXPECT_FALSE(request.prompt.empty());
    *mode = fmt::format("{} {} {}", grounding_mode_name(options.mode), options.max_facts,
                        options.as_of);
    GroundedReply reply;
    reply.text = "a[1]";
    reply.tokens = {1, 2, 3};
    on_piece(reply.text);
    reply.annotations =
        parse_json(R"([{"type":"kg_citation","index":1,"start_index":1,"end_index":4}])", "test");
    reply.grounding = parse_json(R"({"decision":"retrieved","fact_tokens":2})", "test");
    return reply;
  };
  return g;
}

TEST(OpenAiService, a_grounded_answer_carries_its_citations) {
  std::string mode;
  RunningService service(grounded_generator(&mode));
  const Json whole = parse_json(body_of(service.ask(chat())), "answer");
  EXPECT_EQ(mode, "auto 8 ");
  EXPECT_EQ(whole["choices"][0]["message"]["annotations"][0]["end_index"], 4);
  EXPECT_EQ(whole["grounding"]["decision"], "retrieved");
  EXPECT_EQ(whole["usage"]["completion_tokens_details"]["fact_tokens"], 2);

  RawClient client(service.port());
  client.send(chat(R"(,"stream":true,"grounding":{"mode":"strict","max_facts":3,"as_of":"1900"})"));
  const auto events = events_of(client);
  EXPECT_EQ(mode, "strict 3 1900");
  const Json last = parse_json(events[events.size() - 2], "event");
  EXPECT_EQ(last["choices"][0]["delta"]["annotations"].size(), 1u);
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(last["grounding"]["fact_tokens"], 2);

  EXPECT_NE(service.ask(get("/health")).find(R"("graph":{"facts":7,"mode":"auto"})"),
            std::string::npos);
  const Json off =
      parse_json(body_of(service.ask(chat(R"(,"grounding":{"mode":"off"})"))), "answer");
  EXPECT_EQ(off["choices"][0]["message"]["content"], "plain");
  EXPECT_FALSE(off.contains("grounding"));
}

TEST(OpenAiService, usage_says_what_became_of_drafts) {
  Generator g = fake_generator({});
  g.generate = [](const GenerateRequest& request, const OnPiece&, std::stop_token) {
    GenerateResult result;
    result.prompt_tokens = int(request.prompt.size());
    result.tokens = {1, 2, 3};
    result.drafts.add(3, 2);
    return result;
  };
  RunningService service(g);
  const Json answer = parse_json(body_of(service.ask(chat())), "answer");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 3) << "the drafts that were right included";
  EXPECT_EQ(answer["usage"]["completion_tokens_details"],
            parse_json(R"({"accepted_prediction_tokens":2,"rejected_prediction_tokens":1})", ""));
}

TEST(OpenAiService, grounding_that_cannot_be_honoured_is_refused_by_name) {
  RunningService service(fake_generator({"a"}));
  for (const char* fine : {R"({"mode":"off"})", R"({"mode":"auto"})", "{}", "null"})
    EXPECT_EQ(status_of(service.ask(chat(fmt::format(",\"grounding\":{}", fine)))), 200) << fine;
  for (const char* bad : {R"({"mode":"strict"})", R"({"mode":"loose"})", R"({"mode":5})",
                          R"({"max_facts":0})", "[]"}) {
    const std::string answer = service.ask(chat(fmt::format(",\"grounding\":{}", bad)));
    EXPECT_EQ(status_of(answer), 400) << bad;
    EXPECT_NE(answer.find("grounding"), std::string::npos) << answer;
  }
  EXPECT_NE(service.ask(get("/health")).find(R"("graph":null)"), std::string::npos);
}

// A generator that stays in its first piece until it is cancelled or let go.
struct Gate {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<std::stop_token> entered;
  std::atomic<int> runs{0};

  Generator generator() {
    Generator g = fake_generator({"a"});
    g.generate = [this](const GenerateRequest& request, const OnPiece& on_piece,
                        std::stop_token stop) {
      GenerateResult result;
      result.prompt_tokens = int(request.prompt.size());
      if (runs++ == 0) {
        entered.set_value(stop);
        while (released.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready &&
               !stop.stop_requested()) {
        }
      }
      if (stop.stop_requested()) result.finish = Finish::kCancelled;
      on_piece("done");
      result.text = "done";
      return result;
    };
    return g;
  }
};

TEST(OpenAiService, a_full_queue_refuses_at_once_and_says_when_to_come_back) {
  Gate gate;
  RunningService service(gate.generator(), {.parallel = 1, .max_waiting = 1});
  RawClient running(service.port()), waiting(service.port());
  running.send(chat());
  gate.entered.get_future().wait();
  waiting.send(chat(R"(,"stream":true)"));
  EXPECT_EQ(status_of(waiting.read_until("\r\n\r\n")), 200) << "its stream begins while it waits";
  const std::string health = service.ask(get("/health"));
  EXPECT_NE(health.find("\"running\":1,\"waiting\":1"), health.npos) << health;
  const std::string refused = service.ask(chat());
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_NE(refused.find("Retry-After: "), refused.npos);
  EXPECT_NE(refused.find("\"code\":\"queue_full\""), refused.npos);
  gate.release.set_value();
  EXPECT_EQ(status_of(running.read_answer()), 200);
  EXPECT_EQ(events_of(waiting).back(), "[DONE]");
}

TEST(OpenAiService, a_client_that_leaves_stops_its_generation_and_the_next_gets_its_turn) {
  for (const char* mode : {R"(,"stream":true)", ""}) {
    Gate gate;
    RunningService service(gate.generator(), {.parallel = 1});
    RawClient leaving(service.port()), next(service.port());
    leaving.send(chat(mode));
    gate.entered.get_future().wait();
    next.send(chat());
    leaving.close();  // the gate is never released: only the cancellation lets the next one run
    EXPECT_EQ(status_of(next.read_answer()), 200);
  }
}

TEST(OpenAiService, a_client_that_leaves_while_it_waits_gives_up_its_place) {
  Gate gate;
  RunningService service(gate.generator(), {.parallel = 1, .max_waiting = 1});
  RawClient running(service.port()), last(service.port());
  running.send(chat());
  gate.entered.get_future().wait();
  {
    RawClient leaving(service.port());
    leaving.send(chat(R"(,"stream":true)"));
    leaving.read_until("\r\n\r\n");
  }
  std::string answer;  // the close reaches the server when it does
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  do {
    last.send(chat(R"(,"stream":true)"));
    answer = last.read_answer();
  } while (status_of(answer) == 429 && std::chrono::steady_clock::now() < give_up);
  EXPECT_EQ(status_of(answer), 200);
  gate.release.set_value();
  EXPECT_EQ(status_of(running.read_answer()), 200);
  EXPECT_EQ(events_of(last).back(), "[DONE]");
  EXPECT_EQ(gate.runs, 2) << "the one that left was never run";
}

// Each says its first piece and waits for the other's before its second: one after the other they
// would wait for ever.
TEST(OpenAiService, answers_of_several_clients_are_made_at_the_same_time) {
  std::atomic<int> begun{0};
  Generator g = fake_generator({});
  g.generate = [&](const GenerateRequest& request, const OnPiece& on_piece, std::stop_token stop) {
    GenerateResult result;
    result.prompt_tokens = int(request.prompt.size());
    on_piece("a");
    ++begun;
    while (begun < 3 && !stop.stop_requested()) std::this_thread::yield();
    on_piece("b");
    result.text = "ab";
    return result;
  };
  RunningService service(g, {.parallel = 3, .max_waiting = 0});
  RawClient one(service.port()), other(service.port()), third(service.port());
  one.send(chat(R"(,"stream":true)"));
  EXPECT_NE(one.read_until(R"("content":"a")").find("200 OK"), std::string::npos);
  other.send(chat(R"(,"stream":true)"));
  EXPECT_NE(other.read_until(R"("content":"a")").find("200 OK"), std::string::npos);
  EXPECT_NE(service.ask(get("/health")).find("\"running\":2,\"waiting\":0"), std::string::npos);
  third.send(chat());
  EXPECT_EQ(events_of(one).back(), "[DONE]");
  EXPECT_EQ(events_of(other).back(), "[DONE]");
  EXPECT_EQ(status_of(third.read_answer()), 200);
}

}  // namespace
}  // namespace shenhong
