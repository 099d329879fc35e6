#include "knowledge/sparql.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

constexpr size_t kMaxTermBytes = 64 << 10;

// Addresses that a public name must not lead us to: this machine, private networks, link-local
// ones.
bool is_private(const sockaddr& address) {
  const auto v4 = [](uint32_t ip) {
    const uint32_t a = ip >> 24, b = ip >> 16 & 255;
    return a == 0 || a == 10 || a == 127 || (a == 172 && b >= 16 && b < 32) ||
           (a == 192 && b == 168) || (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128) ||
           a >= 224;
  };
  if (address.sa_family == AF_INET)
    return v4(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr));
  if (address.sa_family != AF_INET6) return true;
  const auto* bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr.s6_addr;
  const bool mapped = std::all_of(bytes, bytes + 10, [](uint8_t b) { return b == 0; }) &&
                      bytes[10] == 0xff && bytes[11] == 0xff;
  if (mapped)
    return v4(uint32_t(bytes[12]) << 24 | uint32_t(bytes[13]) << 16 | uint32_t(bytes[14]) << 8 |
              bytes[15]);
  const auto ends_in_v4 = [&](int zeros) {
    return std::all_of(bytes, bytes + zeros, [](uint8_t b) { return b == 0; });
  };
  // Old forms that carry an IPv4 address, and its translation (NAT64): as that address is.
  const bool translated = bytes[0] == 0 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b;
  if (ends_in_v4(12) || translated)
    return v4(uint32_t(bytes[12]) << 24 | uint32_t(bytes[13]) << 16 | uint32_t(bytes[14]) << 8 |
              bytes[15]);
  if (bytes[0] == 0x20 && bytes[1] == 0x02)  // 6to4
    return v4(uint32_t(bytes[2]) << 24 | uint32_t(bytes[3]) << 16 | uint32_t(bytes[4]) << 8 |
              bytes[5]);
  return (bytes[0] & 0xfe) == 0xfc || (bytes[0] == 0xfe && (bytes[1] & 0x80) == 0x80) ||
         bytes[0] == 0xff;
}

// One exchange with the other side.
struct Exchange {
  std::string body;
  std::string max_rows;  // Virtuoso says there when it cut the answer
  size_t limit;
  bool allow_private, too_large = false, blocked = false;

  static size_t receive(char* data, size_t size, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (exchange.body.size() + size * count > exchange.limit) {
      exchange.too_large = true;
      return 0;
    }
    exchange.body.append(data, size * count);
    return size * count;
  }
  static size_t header(char* data, size_t size, size_t count, void* self) {
    constexpr std::string_view kMaxRows = "x-sparql-maxrows:";
    std::string line(data, size * count);
    std::ranges::transform(line, line.begin(),
                           [](unsigned char c) { return char(std::tolower(c)); });
    if (line.starts_with(kMaxRows))
      static_cast<Exchange*>(self)->max_rows = line.substr(kMaxRows.size());
    return size * count;
  }
  // Called with the address that a name was resolved to: what is checked is what is connected to.
  static curl_socket_t open(void* self, curlsocktype, curl_sockaddr* address) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (!exchange.allow_private && is_private(address->addr)) {
      exchange.blocked = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
};

struct EasyDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

RemoteAnswer failed(RemoteStatus status, std::string fault) {
  return {status, std::move(fault), {}};
}

// A literal in SPARQL is written as in N-Triples, and so is an IRI that is one.
std::string checked(const Term& term) {
  SH_ASSERT(term.kind != Term::Kind::kBlank && (term.is_literal() || !iri_fault(term.value)));
  return term_text(term);
}

}  // namespace

std::string_view remote_status_name(RemoteStatus status) {
  constexpr std::array<std::string_view, 6> kNames = {"ok",      "timeout",   "unreachable",
                                                      "refused", "truncated", "bad_answer"};
  return kNames[size_t(status)];
}

SparqlEndpoint::SparqlEndpoint(EndpointConfig config, Limits limits)
    : config_(std::move(config)), limits_(limits) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  SH_CHECK(ready == CURLE_OK, kFailure, "libcurl cannot start: {}", curl_easy_strerror(ready));
  const bool http = config_.url.starts_with("http://") || config_.url.starts_with("https://");
  SH_CHECK(http && !iri_fault(config_.url), kUsage,
           "'{}': want the http or https address of a SPARQL endpoint", config_.url);
  const size_t host = config_.url.find("//") + 2;
  SH_CHECK(
      config_.url.substr(host, config_.url.find('/', host) - host).find('@') == std::string::npos,
      kUsage,
      "the endpoint's address holds a password, and addresses are shown in citations; give it by "
      "--credentials FILE");
  if (config_.credentials_file.empty()) return;
  credentials_ = read_file(config_.credentials_file);
  credentials_.resize(std::min(credentials_.find_first_of("\r\n"), credentials_.size()));
  SH_CHECK(credentials_.find(':') != credentials_.npos, kUsage, "{}: want a line user:password",
           config_.credentials_file);
}

RemoteAnswer SparqlEndpoint::ask(const std::string& query,
                                 const std::vector<std::string>& variables) {
  const std::unique_ptr<CURL, EasyDeleter> handle(curl_easy_init());
  CURL* curl = handle.get();
  SH_CHECK(curl, kResources, "no memory for a request to {}", config_.url);
  Exchange exchange{"", "", limits_.bytes, config_.allow_private};
  const std::unique_ptr<char, decltype(&curl_free)> escaped(
      curl_easy_escape(curl, query.data(), int(query.size())), curl_free);
  const std::string form = fmt::format("query={}", escaped.get());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, "Accept: application/sparql-results+json"), curl_slist_free_all);

  curl_easy_setopt(curl, CURLOPT_URL, config_.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, long(limits_.connect_ms));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, long(limits_.total_ms));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "shenhong");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  // A form, because not every server answers a query that is posted bare.
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, long(form.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Exchange::receive);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Exchange::header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, Exchange::open);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &exchange);
  if (!credentials_.empty()) curl_easy_setopt(curl, CURLOPT_USERPWD, credentials_.c_str());

  const CURLcode code = curl_easy_perform(curl);
  if (exchange.too_large)
    return failed(RemoteStatus::kTruncated, fmt::format("{}: the answer is larger than {} bytes",
                                                        config_.url, limits_.bytes));
  if (exchange.blocked)
    return failed(
        RemoteStatus::kRefused,
        fmt::format(
            "{}: leads to a private address; attach it with --allow-private if that is meant",
            config_.url));
  if (code == CURLE_OPERATION_TIMEDOUT)
    return failed(RemoteStatus::kTimeout,
                  fmt::format("{}: no answer within {} ms", config_.url, limits_.total_ms));
  if (code == CURLE_PARTIAL_FILE)
    return failed(RemoteStatus::kBadAnswer, fmt::format("{}: the answer breaks off", config_.url));
  if (code != CURLE_OK)
    return failed(RemoteStatus::kUnreachable,
                  fmt::format("{}: {}", config_.url, curl_easy_strerror(code)));

  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 300 && status < 400)
    return failed(
        RemoteStatus::kRefused,
        fmt::format(
            "{}: redirects (HTTP {}), which is not followed; attach the address it leads to",
            config_.url, status));
  if (status != 200)
    return failed(RemoteStatus::kBadAnswer, fmt::format("{}: HTTP {}", config_.url, status));
  const char* type = nullptr;
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  const std::string_view media = type ? type : "";
  if (!media.starts_with("application/sparql-results+json") &&
      !media.starts_with("application/json"))
    return failed(RemoteStatus::kBadAnswer,
                  fmt::format("{}: the answer is '{}', want application/sparql-results+json",
                              config_.url, media));

  RemoteAnswer answer = read_sparql_results(exchange.body, variables);
  if (!answer.fault.empty()) answer.fault = fmt::format("{}: {}", config_.url, answer.fault);
  const bool cut = answer.status == RemoteStatus::kOk &&
                   (!exchange.max_rows.empty() || int(answer.rows.size()) >= limits_.rows);
  if (cut) {
    answer.status = RemoteStatus::kTruncated;
    answer.fault = fmt::format("{}: there are more than {} rows", config_.url, answer.rows.size());
  }
  return answer;
}

RemoteAnswer SparqlEndpoint::objects(const Term& subject, const Term& predicate) {
  return ask(fmt::format("SELECT DISTINCT ?o WHERE {{ {} {} ?o }} LIMIT {}", checked(subject),
                         checked(predicate), limits_.rows),
             {"o"});
}

RemoteAnswer SparqlEndpoint::subjects(const Term& object, const Term& predicate) {
  return ask(fmt::format("SELECT DISTINCT ?s WHERE {{ ?s {} {} }} LIMIT {}", checked(predicate),
                         checked(object), limits_.rows),
             {"s"});
}

RemoteAnswer SparqlEndpoint::bearers(std::string_view name) {
  std::string predicates, names;
  for (const std::string_view iri : iri::kNames)
    predicates += checked(Term::iri(std::string(iri))) + " ";
  for (const char* language : {"", "zh", "en"})
    names += checked(Term::text(std::string(name), language)) + " ";
  return ask(fmt::format("SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?p {{ {}}} VALUES ?o {{ {}}} ?s "
                         "?p ?o }} LIMIT {}",
                         predicates, names, limits_.rows),
             {"s", "p", "o"});
}

RemoteAnswer SparqlEndpoint::labels(const std::vector<Term>& entities) {
  std::string subjects;
  for (const Term& entity : entities) subjects += checked(entity) + " ";
  return ask(fmt::format("SELECT DISTINCT ?s ?o WHERE {{ VALUES ?s {{ {}}} ?s {} ?o "
                         "FILTER(LANG(?o) IN (\"\", \"zh\", "
                         "\"zh-hans\", \"zh-cn\", \"en\")) }} LIMIT {}",
                         subjects, checked(Term::iri(std::string(iri::kLabel))), limits_.rows),
             {"s", "o"});
}

RemoteAnswer read_sparql_results(std::string_view body, const std::vector<std::string>& variables) {
  Json json;
  try {
    json = parse_json(body, "the answer");
  } catch (const Error& error) {
    return failed(RemoteStatus::kBadAnswer, "the answer is not complete JSON");
  }
  const bool shaped = json.is_object() && json.contains("results") && json["results"].is_object() &&
                      json["results"].contains("bindings") &&
                      json["results"]["bindings"].is_array();
  if (!shaped) return failed(RemoteStatus::kBadAnswer, "the answer has no results.bindings");
  RemoteAnswer answer;
  for (const Json& binding : json["results"]["bindings"]) {
    std::vector<Term> row;
    for (const std::string& variable : variables) {
      const Json value = binding.is_object() ? binding.value(variable, Json()) : Json();
      if (!value.is_object() || !value.contains("type") || !value["type"].is_string() ||
          !value.contains("value") || !value["value"].is_string())
        break;
      const std::string type = value["type"], text = value["value"];
      if (text.size() > kMaxTermBytes) break;
      const auto member = [&](const char* name) {
        const auto found = value.find(name);
        return found != value.end() && found->is_string() ? found->get<std::string>()
                                                          : std::string();
      };
      Term term;
      if (type == "uri") {
        term = Term::iri(text);
        if (iri_fault(text)) break;
      } else if (type == "literal" || type == "typed-literal") {  // the latter is Virtuoso's
        std::string language = member("xml:lang");
        std::ranges::transform(language, language.begin(),
                               [](unsigned char c) { return char(std::tolower(c)); });
        term = Term::text(text, is_language_tag(language) ? language : "");
        if (const std::string datatype = member("datatype");
            term.language.empty() && !datatype.empty() && !iri_fault(datatype) &&
            datatype != "http://www.w3.org/2001/XMLSchema#string")
          term.datatype = datatype;
      } else {
        break;
      }
      row.push_back(std::move(term));
    }
    if (row.size() == variables.size()) answer.rows.push_back(std::move(row));
  }
  return answer;
}

}  // namespace shenhong
