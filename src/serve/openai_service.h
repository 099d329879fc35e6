// The routes of OpenAI's API, answered by one generator, several answers at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "serve/generation_queue.h"
#include "serve/generator.h"
#include "serve/http.h"
#include "serve/openai_answer.h"
#include "serve/openai_request.h"

namespace shenhong {

struct ServiceOptions {
  std::string alias{};      // a second name that requests may use for the model; "" for none
  std::string api_key{};    // "": none is asked for
  size_t parallel = 16;     // answers that are made at the same time
  size_t max_waiting = 32;  // requests beside them
};

class OpenAiService {
 public:
  // `stopping`: the server takes its leave; /health then says 503 so that balancers look elsewhere.
  OpenAiService(Generator generator, ServiceOptions options, std::function<bool()> stopping);

  // They refer to this object.
  std::vector<Route> routes();

 private:
  void chat(const Request& request, const Responder& responder);
  void complete(const Request& request, const Responder& responder);
  void list_models(const Responder& responder) const;
  void show_model(const Request& request, const Responder& responder) const;
  void tokenize(const Request& request, const Responder& responder) const;
  void detokenize(const Request& request, const Responder& responder) const;
  void health(const Responder& responder) const;

  void check_key(const Request& request) const;
  void check_model(const std::string& name) const;
  void check_room(AnswerKind kind, const std::vector<int>& prompt,
                  const AnswerOptions& options) const;
  Json model_json() const;

  // The prompts become the choices of one answer. A chat has one; its messages are kept for what
  // they name.
  struct Task {
    AnswerKind kind;
    AnswerOptions options;
    std::vector<std::vector<int>> prompts;
    std::vector<Message> messages = {};
    GroundingOptions grounding = {};
  };
  void enqueue(const Responder& responder, Task task);
  void generate(const Responder& responder, const AnswerWriter& writer, const Task& task) const;
  GroundedReply answer(const Task& task, const GenerateRequest& request, const OnPiece& on_piece,
                       std::stop_token stop) const;

  const Generator generator_;
  const ServiceOptions options_;
  const std::function<bool()> stopping_;
  const int64_t created_;
  GenerationQueue queue_;  // the last member: its threads use all others
};

}  // namespace shenhong
