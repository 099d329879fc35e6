// OpenAI's answers, whole and as chunks of a stream, field by field as the published API has them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/json.h"
#include "serve/generator.h"

namespace shenhong {

enum class AnswerKind { kChat, kCompletion };

// Writes one answer; all its chunks carry the same id, time and model. Every function returns one
// JSON text without line breaks.
class AnswerWriter {
 public:
  AnswerWriter(AnswerKind kind, std::string model, bool include_usage);

  // One choice per result.
  std::string whole(std::span<const GroundedReply> results) const;

  // The chunks of choice `index`, in this order: begin once, piece any number of times, finish
  // once.
  std::string begin(int index) const;
  std::string piece(int index, std::string_view text) const;
  std::string finish(int index, const GroundedReply& result) const;
  // After all choices, if usage was asked for.
  std::string usage(std::span<const GroundedReply> results) const;

 private:
  Json envelope(bool chunk) const;
  Json chunk(int index, Json content, Json finish_reason) const;

  AnswerKind kind_;
  std::string model_, id_;
  bool include_usage_;
  int64_t created_;
};

}  // namespace shenhong
