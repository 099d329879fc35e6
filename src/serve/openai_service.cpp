#include "serve/openai_service.h"

#include <chrono>

#include "core/error.h"
#include "serve/api_error.h"
#include "serve/request_fields.h"
#include "serve/responder.h"

namespace shenhong {
namespace {

// How long it takes does not depend on where the two differ.
bool equal_secret(std::string_view given, std::string_view secret) {
  unsigned differs = given.size() != secret.size();
  for (size_t i = 0; i < given.size(); ++i) {
    differs |= unsigned(given[i] ^ secret[i % secret.size()]);
  }
  return differs == 0;
}

std::string_view key_of(const Request& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = find_header(request.headers, "Authorization");
  if (authorization.starts_with(kBearer)) return authorization.substr(kBearer.size());
  return find_header(request.headers, "X-Api-Key");
}

Response json_response(const Json& json) { return {.body = dump_json(json)}; }

}  // namespace

OpenAiService::OpenAiService(Generator generator, ServiceOptions options,
                             std::function<bool()> stopping)
    : generator_(std::move(generator)),
      options_(std::move(options)),
      stopping_(std::move(stopping)),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()),
      queue_(options_.max_waiting, options_.parallel) {}

std::vector<Route> OpenAiService::routes() {
  const auto guarded = [this](auto handle) -> Handler {
    return [this, handle](const Request& request, const Responder& responder) {
      check_key(request);
      handle(request, responder);
    };
  };
  const Handler models = guarded([this](const Request&, const Responder& r) { list_models(r); });
  const Handler model = guarded([this](const Request& q, const Responder& r) { show_model(q, r); });
  const Handler chats = guarded([this](const Request& q, const Responder& r) { chat(q, r); });
  const Handler completes =
      guarded([this](const Request& q, const Responder& r) { complete(q, r); });
  std::vector<Route> routes = {
      {"GET", "/health", [this](const Request&, const Responder& r) { health(r); }},
      {"POST", "/tokenize",
       guarded([this](const Request& q, const Responder& r) { tokenize(q, r); })},
      {"POST", "/detokenize",
       guarded([this](const Request& q, const Responder& r) { detokenize(q, r); })},
  };
  // Clients differ in whether the base address they are given ends in /v1.
  for (const std::string prefix : {"/v1", ""}) {
    routes.push_back({"GET", prefix + "/models", models});
    routes.push_back({"GET", prefix + "/models/*", model});
    routes.push_back({"POST", prefix + "/chat/completions", chats});
    routes.push_back({"POST", prefix + "/completions", completes});
  }
  return routes;
}

void OpenAiService::check_key(const Request& request) const {
  if (options_.api_key.empty() || equal_secret(key_of(request), options_.api_key)) return;
  ApiError error(401, "invalid_api_key",
                 "the API key is missing or wrong; send Authorization: Bearer KEY");
  error.headers = {{"WWW-Authenticate", "Bearer"}};
  throw error;
}

void OpenAiService::check_model(const std::string& name) const {
  if (name.empty() || name == generator_.name || (name == options_.alias)) return;
  throw ApiError(404, "model_not_found",
                 fmt::format("model: '{}' is not served here; '{}' is", name, generator_.name),
                 "model");
}

void OpenAiService::check_room(AnswerKind kind, const std::vector<int>& prompt,
                               const AnswerOptions& options) const {
  const int64_t length = int64_t(prompt.size()), context = generator_.context_tokens;
  const std::string remedy = generator_.cache_limits_context
                                 ? "; the server's cache holds no more (shenhong serve --cache-mib)"
                                 : "";
  if (length >= context) {
    ApiError error(400, "context_length_exceeded",
                   fmt::format("prompt: {} tokens, but this model's context is {} tokens, the "
                               "answer included; shorten it or start a new chat{}",
                               length, context, remedy),
                   kind == AnswerKind::kChat ? "messages" : "prompt");
    error.numbers = {{"n_prompt_tokens", length}, {"n_ctx", context}};
    throw error;
  }
  if (options.max_tokens && length + *options.max_tokens > context) {
    throw ApiError(
        400, "context_length_exceeded",
        fmt::format("max_tokens = {}: with the prompt's {} tokens more than this model's "
                    "context of {}; ask for at most {}, or leave it out{}",
                    *options.max_tokens, length, context, context - length, remedy),
        "max_tokens");
  }
  for (const int id : prompt) {
    if (id >= 0 && id < generator_.vocab_size) continue;
    throw ApiError(
        400, "invalid_value",
        fmt::format("prompt: token {}: want ids from 0 to {}", id, generator_.vocab_size - 1),
        "prompt");
  }
}

void OpenAiService::chat(const Request& request, const Responder& responder) {
  ChatRequest chat =
      parse_chat_request(request.body, generator_.default_sampling, generator_.default_grounding,
                         bool(generator_.generate_grounded));
  check_model(chat.options.model);
  auto prompt = generator_.chat_prompt(chat.messages);
  enqueue(responder, {AnswerKind::kChat,
                      chat.options,
                      {std::move(prompt)},
                      std::move(chat.messages),
                      chat.grounding});
}

void OpenAiService::complete(const Request& request, const Responder& responder) {
  CompletionRequest completion =
      parse_completion_request(request.body, generator_.default_sampling);
  check_model(completion.options.model);
  std::vector<std::vector<int>> prompts;
  for (Prompt& prompt : completion.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      prompts.push_back(generator_.text_prompt(*text));
    } else {
      prompts.push_back(std::move(std::get<std::vector<int>>(prompt)));
    }
  }
  enqueue(responder, {AnswerKind::kCompletion, completion.options, std::move(prompts)});
}

void OpenAiService::enqueue(const Responder& responder, Task task) {
  for (const auto& prompt : task.prompts) check_room(task.kind, prompt, task.options);
  const std::string model = task.options.model.empty() ? generator_.name : task.options.model;
  const bool stream = task.options.stream;
  AnswerWriter writer(task.kind, model, task.options.include_usage);
  auto work = [this, responder, task = std::move(task), writer = std::move(writer)] {
    try {
      generate(responder, writer, task);
    } catch (...) {
      responder.fail(error_of(std::current_exception()));
    }
  };
  if (!queue_.push({std::move(work), responder.cancelled()})) {
    throw ApiError(
        429, "queue_full",
        fmt::format("{} requests are waiting, the most that may; try again", queue_.capacity()));
  }
  // Now, not when it is its turn: a stream that has begun can show that it is alive.
  if (stream) responder.start_events();
}

GroundedReply OpenAiService::answer(const Task& task, const GenerateRequest& request,
                                    const OnPiece& on_piece, std::stop_token stop) const {
  const bool grounded = task.kind == AnswerKind::kChat && generator_.generate_grounded &&
                        task.grounding.mode != GroundingMode::kOff;
  if (grounded)
    return generator_.generate_grounded(task.messages, request, task.grounding, on_piece,
                                        std::move(stop));
  return {generator_.generate(request, on_piece, std::move(stop)), nullptr, nullptr};
}

void OpenAiService::generate(const Responder& responder, const AnswerWriter& writer,
                             const Task& task) const {
  const AnswerOptions& options = task.options;
  if (options.stream) responder.start_events();
  std::vector<GroundedReply> results;
  for (int index = 0; index < int(task.prompts.size()); ++index) {
    const auto emit = [&](const std::string& chunk) {
      return !options.stream || responder.event(chunk);
    };
    emit(writer.begin(index));
    const GenerateRequest request{.prompt = task.prompts[size_t(index)],
                                  .max_tokens = options.max_tokens.value_or(0),
                                  .sampling = options.sampling,
                                  .stop = options.stop};
    const auto on_piece = [&](std::string_view piece) { return emit(writer.piece(index, piece)); };
    results.push_back(answer(task, request, on_piece, responder.cancelled()));
    if (results.back().finish == Finish::kCancelled) {
      if (!responder.server_left()) return;
      throw ApiError(503, "server_stopping",
                     "the server was stopped before the answer was complete");
    }
    emit(writer.finish(index, results.back()));
  }
  if (!options.stream) return responder.send({.body = writer.whole(results)});
  if (options.include_usage) responder.event(writer.usage(results));
  responder.event("[DONE]");
  responder.end();
}

Json OpenAiService::model_json() const {
  return {{"id", generator_.name},
          {"object", "model"},
          {"created", created_},
          {"owned_by", "shenhong"},
          {"max_model_len", generator_.context_tokens}};
}

void OpenAiService::list_models(const Responder& responder) const {
  responder.send(json_response({{"object", "list"}, {"data", Json::array({model_json()})}}));
}

void OpenAiService::show_model(const Request& request, const Responder& responder) const {
  check_model(request.path.substr(request.path.find("/models/") + 8));
  responder.send(json_response(model_json()));
}

void OpenAiService::tokenize(const Request& request, const Responder& responder) const {
  const Json json = parse_json(request.body, "body");
  const RequestFields fields(json, "");
  // vLLM's clients say prompt, llama-server's say content.
  auto text = fields.string("content");
  if (!text) {
    fields.need("prompt");
    text = fields.string("prompt");
  }
  const bool with_bos = fields.boolean("add_special_tokens").value_or(true);
  const std::vector<int> ids = with_bos ? generator_.text_prompt(*text) : generator_.encode(*text);
  responder.send(json_response(
      {{"tokens", ids}, {"count", ids.size()}, {"max_model_len", generator_.context_tokens}}));
}

void OpenAiService::detokenize(const Request& request, const Responder& responder) const {
  const Json json = parse_json(request.body, "body");
  const RequestFields fields(json, "");
  const Json& tokens = fields.need("tokens");
  if (!tokens.is_array()) wrong_type("tokens", tokens, "a list of token ids");
  std::vector<int> ids;
  for (const Json& id : tokens) {
    if (!id.is_number_integer() || id < 0 || id >= generator_.vocab_size) {
      throw ApiError(
          400, "invalid_value",
          fmt::format("tokens: {}: want ids from 0 to {}", shown(id), generator_.vocab_size - 1),
          "tokens");
    }
    ids.push_back(id.get<int>());
  }
  const std::string text = generator_.decode(ids);
  responder.send(json_response({{"prompt", text}, {"content", text}}));
}

void OpenAiService::health(const Responder& responder) const {
  Json graph;
  if (generator_.generate_grounded)
    graph = {{"facts", generator_.facts},
             {"mode", grounding_mode_name(generator_.default_grounding.mode)}};
  Response response = json_response({{"status", stopping_() ? "stopping" : "ok"},
                                     {"model", generator_.name},
                                     {"running", queue_.running()},
                                     {"waiting", queue_.waiting()},
                                     {"graph", std::move(graph)}});
  if (stopping_()) response.status = 503;
  responder.send(response);
}

}  // namespace shenhong
