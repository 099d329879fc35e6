#include "serve/openai_request.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "serve/api_error.h"

namespace shenhong {
namespace {

ChatRequest chat(const std::string& more, const SamplingConfig& defaults = {}) {
  return parse_chat_request(R"({"messages":[{"role":"user","content":"hi"}])" + more + "}",
                            defaults);
}

// The param and the message of the refusal.
struct Refusal {
  int status = 0;
  std::string param, message;
};
Refusal refusal(const std::string& body) {
  try {
    parse_chat_request(body, {});
  } catch (...) {
    const ApiError error = error_of(std::current_exception());
    return {error.status(), error.param(), error.what()};
  }
  return {200, "", ""};
}
Refusal refused_field(const std::string& field) {
  return refusal(R"({"messages":[{"role":"user","content":"hi"}],)" + field + "}");
}

TEST(ChatRequest, a_bare_request_takes_the_models_defaults) {
  SamplingConfig defaults;
  defaults.temperature = 0.31;
  defaults.top_k = 7;
  const ChatRequest request = chat("", defaults);
  EXPECT_EQ(request.messages.size(), 1u);
  EXPECT_EQ(request.messages[0].role, "user");
  EXPECT_EQ(request.messages[0].content, "hi");
  EXPECT_EQ(request.options.sampling.temperature, 0.31);
  EXPECT_EQ(request.options.sampling.top_k, 7);
  EXPECT_FALSE(request.options.max_tokens);
  EXPECT_FALSE(request.options.stream);
  EXPECT_TRUE(request.options.stop.empty());
}

TEST(ChatRequest, every_supported_field_is_read) {
  const AnswerOptions o =
      chat(R"(,"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,
             "temperature":0,"top_p":0.5,"top_k":3,"min_p":0.1,"frequency_penalty":-2,
             "presence_penalty":2,"repetition_penalty":1.5,"seed":-5,"stop":["。","\n"])")
          .options;
  EXPECT_EQ(o.model, "m");
  EXPECT_TRUE(o.stream);
  EXPECT_TRUE(o.include_usage);
  EXPECT_EQ(o.max_tokens, 9);
  EXPECT_EQ(o.sampling.temperature, 0);
  EXPECT_EQ(o.sampling.top_p, 0.5);
  EXPECT_EQ(o.sampling.top_k, 3);
  EXPECT_EQ(o.sampling.min_p, 0.1);
  EXPECT_EQ(o.sampling.frequency_penalty, -2);
  EXPECT_EQ(o.sampling.presence_penalty, 2);
  EXPECT_EQ(o.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(o.sampling.seed, uint64_t(-5));
  EXPECT_EQ(o.stop, (std::vector<std::string>{"。", "\n"}));
}

TEST(ChatRequest, the_newer_token_limit_wins) {
  EXPECT_EQ(chat(R"(,"max_tokens":9,"max_completion_tokens":4)").options.max_tokens, 4);
  EXPECT_EQ(chat(R"(,"max_completion_tokens":4.0)").options.max_tokens, 4);
}

TEST(ChatRequest, a_seed_is_kept_and_a_missing_one_is_drawn) {
  EXPECT_EQ(chat(R"(,"seed":0)").options.sampling.seed, 0u);
  EXPECT_NE(chat("").options.sampling.seed, chat("").options.sampling.seed);
}

TEST(ChatRequest, null_is_absent_and_neutral_values_and_unknown_fields_pass) {
  for (const char* field : {R"("max_tokens":null)",
                            R"("stop":null)",
                            R"("stop":[])",
                            R"("stop":"")",
                            R"("n":1)",
                            R"("n":null)",
                            R"("logit_bias":{})",
                            R"("logprobs":false)",
                            R"("tools":[])",
                            R"("tool_choice":"auto")",
                            R"("tool_choice":"none")",
                            R"("response_format":{"type":"text"})",
                            R"("modalities":["text"])",
                            R"("user":"u")",
                            R"("metadata":{"a":"b"})",
                            R"("store":true)",
                            R"("parallel_tool_calls":true)",
                            R"("reasoning_effort":"low")",
                            R"("whatever":{"x":[1]})",
                            R"("stream_options":null)",
                            R"("seed":null)",
                            R"("top_k":-1)",
                            R"("functions":null)"}) {
    EXPECT_EQ(refused_field(field).status, 200) << field << ": " << refused_field(field).message;
  }
}

TEST(ChatRequest, what_cannot_be_honoured_is_refused_by_name) {
  for (const auto& [field, param] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("n":2)", "n"},
           {R"("logprobs":true)", "logprobs"},
           {R"("top_logprobs":3)", "top_logprobs"},
           {R"("logit_bias":{"5":1})", "logit_bias"},
           {R"("tools":[{"type":"function"}])", "tools"},
           {R"("tool_choice":"required")", "tool_choice"},
           {R"("functions":[{}])", "functions"},
           {R"("response_format":{"type":"json_object"})", "response_format.type"},
           {R"("modalities":["text","audio"])", "modalities"},
           {R"("audio":{"voice":"x"})", "audio"},
           {R"("guided_regex":"a*")", "guided_regex"},
           {R"("stop_token_ids":[1])", "stop_token_ids"}}) {
    const Refusal r = refused_field(field);
    EXPECT_EQ(r.status, 400) << field;
    EXPECT_EQ(r.param, param);
    EXPECT_NE(r.message.find(param), std::string::npos) << r.message;
  }
}

TEST(ChatRequest, wrong_types_and_ranges_are_refused_by_name) {
  for (const auto& [param, values] :
       std::initializer_list<std::pair<const char*, std::vector<const char*>>>{
           {"model", {"1", "[]", "true"}},
           {"stream", {"1", "\"true\"", "[]"}},
           {"max_tokens", {"0", "-1", "1.5", "\"9\"", "2147483648", "1e300", "true", "[1]"}},
           {"max_completion_tokens", {"0", "18446744073709551615", "-9223372036854775808", "\"\""}},
           {"temperature", {"-0.1", "2.1", "\"1\"", "1e308", "{}"}},
           {"top_p", {"-0.1", "1.1", "\"1\""}},
           {"top_k", {"-2", "1e10", "0.5"}},
           {"min_p", {"-1", "2"}},
           {"frequency_penalty", {"-2.1", "2.1"}},
           {"presence_penalty", {"-2.1", "\"\""}},
           {"repetition_penalty", {"0", "-1", "101"}},
           {"seed", {"1.5", "\"7\"", "18446744073709551615", "1e300"}},
           {"n", {"0", "-1", "1e9", "\"1\""}},
           {"stop", {"1", "[1]", "{}", "[\"\"]", "[null]"}},
           {"stream_options", {"true", "[]"}},
           {"response_format", {"\"json\"", "1"}}}) {
    for (const char* value : values) {
      const Refusal r = refused_field(fmt::format("\"{}\":{}", param, value));
      EXPECT_EQ(r.status, 400) << param << " = " << value;
      EXPECT_EQ(r.param, param) << value;
      EXPECT_NE(r.message.find(param), std::string::npos) << r.message;
    }
  }
  EXPECT_EQ(refused_field("\"stop\":\"" + std::string(257, 'x') + "\"").param, "stop");
  EXPECT_EQ(refused_field(
                R"("stop":["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])")
                .param,
            "stop");
  EXPECT_EQ(refused_field(R"("stream_options":{"include_usage":1})").param,
            "stream_options.include_usage");
}

TEST(ChatRequest, messages_are_checked_one_by_one) {
  for (
      const auto& [body, param] : std::initializer_list<std::pair<const char*, const char*>>{
          {R"({})", "messages"},
          {R"({"messages":null})", "messages"},
          {R"({"messages":"hi"})", "messages"},
          {R"({"messages":[]})", "messages"},
          {R"({"messages":["hi"]})", "messages[0]"},
          {R"({"messages":[{}]})", "messages[0].role"},
          {R"({"messages":[{"role":1,"content":"x"}]})", "messages[0].role"},
          {R"({"messages":[{"role":"robot","content":"x"}]})", "messages[0].role"},
          {R"({"messages":[{"role":"tool","content":"x"}]})", "messages[0].role"},
          {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
          {R"({"messages":[{"role":"user","content":null}]})", "messages[0].content"},
          {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
          {R"({"messages":[{"role":"user","content":[1]}]})", "messages[0].content[0]"},
          {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})",
           "messages[0].content[0].text"},
          {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
           "messages[0].content[0].type"},
          {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]})",
           "messages"},
          {R"({"messages":[{"role":"assistant","content":"","tool_calls":[{}]},{"role":"user","content":"x"}]})",
           "messages[0].tool_calls"}}) {
    const Refusal r = refusal(body);
    EXPECT_EQ(r.status, 400) << body;
    EXPECT_EQ(r.param, param) << body << "\n" << r.message;
  }
}

TEST(ChatRequest, text_parts_are_joined_and_developer_is_system) {
  const ChatRequest request = parse_chat_request(
      R"({"messages":[{"role":"developer","content":"be kind","name":"x"},
          {"role":"user","content":[{"type":"text","text":"床前"},{"type":"input_text","text":"明月"}]}]})",
      {});
  ASSERT_EQ(request.messages.size(), 2u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "床前明月");
}

TEST(ChatRequest, broken_json_of_any_kind_is_a_400) {
  for (const std::string& body :
       {std::string(""), std::string("{"), std::string("null"), std::string("[]"),
        std::string("\"x\""),
        std::string(R"({"messages":[{"role":"user","content":"hi"}],"temperature":NaN})"),
        std::string(R"({"messages":[{"role":"user","content":"hi"}],"temperature":1e999})"),
        std::string(R"({"messages":[],"messages":[]})"), std::string("{\"messages\":\"\xff\"}"),
        std::string(R"({"messages":[{"role":"user","content":"\ud800"}]})"),
        std::string(1'000'000, '['), R"({"messages":)" + std::string(100'000, '[')}) {
    const Refusal r = refusal(body);
    EXPECT_EQ(r.status, 400) << body.substr(0, 60);
    EXPECT_FALSE(r.message.empty());
    EXPECT_LT(r.message.size(), 400u) << "an error repeats only the beginning of what was wrong";
  }
}

TEST(CompletionRequest, a_prompt_is_text_or_ids_or_several_of_either) {
  const auto prompts = [](const std::string& prompt) {
    return parse_completion_request("{\"prompt\":" + prompt + "}", {}).prompts;
  };
  EXPECT_EQ(prompts(R"("春眠")"), (std::vector<Prompt>{"春眠"}));
  EXPECT_EQ(prompts(R"(["a","b"])"), (std::vector<Prompt>{"a", "b"}));
  EXPECT_EQ(prompts("[1,2]"), (std::vector<Prompt>{std::vector<int>{1, 2}}));
  EXPECT_EQ(prompts("[[1,2],[3]]"),
            (std::vector<Prompt>{std::vector<int>{1, 2}, std::vector<int>{3}}));
  for (const char* bad : {"1", "[]", "{}", "[1,\"a\"]", "[1.5]", "[-1]", "[4294967296]", "[[]]",
                          "[\"a\",null]", "[[1],[\"x\"]]", "null"}) {
    EXPECT_THROW(prompts(bad), ApiError) << bad;
  }
  EXPECT_THROW(parse_completion_request(R"({"prompt":"a","echo":true})", {}), ApiError);
  EXPECT_THROW(parse_completion_request(R"({"prompt":"a","logprobs":0})", {}), ApiError);
  EXPECT_THROW(parse_completion_request(R"({"prompt":"a","suffix":"b"})", {}), ApiError);
  EXPECT_NO_THROW(
      parse_completion_request(R"({"prompt":"a","suffix":"","best_of":1,"echo":false})", {}));
}

}  // namespace
}  // namespace shenhong
