// A SPARQL 1.1 endpoint, asked for single facts. Queries are ours, with terms filled in that were
// checked; neither a user nor a model writes any of them. What comes back is not trusted: its size,
// its time and its form are bounded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/fields.h"
#include "knowledge/term.h"

namespace shenhong {

// Set by whoever runs the program, never by a request.
struct EndpointConfig {
  std::string url;  // http or https
  bool allow_private =
      false;  // whether addresses of this machine and of private networks may be asked
  std::string credentials_file;  // a line user:password; empty: none
  bool operator==(const EndpointConfig&) const = default;

  template <class Visit>
  void fields(Visit&& v) {
    v("url", url, "address of a SPARQL 1.1 endpoint");
    v("allow_private", allow_private, "it may be on this machine or in a private network");
    v("credentials_file", credentials_file, "a file with a line user:password");
  }
};

enum class RemoteStatus { kOk, kTimeout, kUnreachable, kRefused, kTruncated, kBadAnswer };
std::string_view remote_status_name(
    RemoteStatus status);  // ok, timeout, unreachable, refused, truncated, bad_answer

struct RemoteAnswer {
  RemoteStatus status = RemoteStatus::kOk;
  std::string fault;  // one line; empty when ok
  std::vector<std::vector<Term>>
      rows;  // in the order of the query's variables; of a truncated answer, what there is
};

class SparqlEndpoint {
 public:
  struct Limits {
    int connect_ms = 2000, total_ms = 5000;
    size_t bytes = 8 << 20;
    int rows = 200;
  };
  // Error(kUsage): no http or https address, one with a password in it, or a credentials file that
  // cannot be read.
  SparqlEndpoint(EndpointConfig config, Limits limits);
  explicit SparqlEndpoint(EndpointConfig config) : SparqlEndpoint(std::move(config), Limits()) {}

  const EndpointConfig& config() const { return config_; }

  // None of these throws for what the other side does.
  RemoteAnswer objects(const Term& subject, const Term& predicate);  // rows of one: ?o
  RemoteAnswer subjects(const Term& object, const Term& predicate);  // rows of one: ?s
  RemoteAnswer bearers(std::string_view name);             // rows of three: ?s ?p ?o, their name
  RemoteAnswer labels(const std::vector<Term>& entities);  // rows of two: ?s ?o

 private:
  RemoteAnswer ask(const std::string& query, const std::vector<std::string>& variables);

  EndpointConfig config_;
  Limits limits_;
  std::string credentials_;
};

// application/sparql-results+json as rows of `variables`. kBadAnswer: not complete JSON, or not of
// that shape. A row with a blank node, an IRI that is none, or a variable missing is left out.
RemoteAnswer read_sparql_results(std::string_view body, const std::vector<std::string>& variables);

}  // namespace shenhong
