// The routes of OpenAI's API, answered by one generator.
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
  std::string alias{};    // a second name that requests may use for the model; "" for none
  std::string api_key{};  // "": none is asked for
  size_t max_waiting = 32;
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

  // Queues the prompts, which become the choices of one answer.
  void enqueue(const Responder& responder, AnswerKind kind, const AnswerOptions& options,
               std::vector<std::vector<int>> prompts);
  void generate(const Responder& responder, const AnswerWriter& writer,
                const AnswerOptions& options, const std::vector<std::vector<int>>& prompts) const;

  const Generator generator_;
  const ServiceOptions options_;
  const std::function<bool()> stopping_;
  const int64_t created_;
  GenerationQueue queue_;  // the last member: its thread uses all others
};

}  // namespace shenhong
