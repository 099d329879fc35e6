#include "knowledge/sparql.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "knowledge/attached.h"
#include "knowledge/example_graph.h"
#include "knowledge/graph.h"

namespace shenhong {
namespace {

// Answers every connection with the same bytes and remembers what was asked; an empty answer: it
// says nothing until the asker goes away.
class Endpoint {
 public:
  explicit Endpoint(std::string answer)
      : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Endpoint() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  EndpointConfig config() const {
    return {fmt::format("http://127.0.0.1:{}/sparql", port_), true, ""};
  }
  const std::string& asked() const { return asked_; }
  int requests() const { return requests_; }

 private:
  void serve() {
    for (int peer; (peer = ::accept(socket_, nullptr, nullptr)) >= 0; ::close(peer)) {
      std::string request;
      char piece[4096];
      size_t want = std::string::npos;
      while (request.size() < want) {
        const ssize_t got = ::recv(peer, piece, sizeof(piece), 0);
        if (got <= 0) break;
        request.append(piece, size_t(got));
        const size_t head = request.find("\r\n\r\n"), length = request.find("Content-Length: ");
        if (head != request.npos && length != request.npos)
          want = head + 4 + std::stoul(request.substr(length + 16));
      }
      asked_ = request;
      ++requests_;
      if (answer_.empty()) {
        while (::recv(peer, piece, sizeof(piece), 0) > 0) {
        }
      } else {
        ::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      }
    }
  }

  std::string answer_, asked_;
  int socket_, port_ = 0, requests_ = 0;
  std::thread thread_;
};

std::string reply(const std::string& body,
                  const std::string& type = "application/sparql-results+json",
                  const std::string& more = "", size_t claimed = 0) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}",
      type, claimed ? claimed : body.size(), more, body);
}

std::string row(const std::string& variable, const std::string& type, const std::string& value) {
  return fmt::format(R"({{"{}":{{"type":"{}","value":"{}"}}}})", variable, type, value);
}
std::string results(const std::string& rows) {
  return R"({"head":{"vars":["o"]},"results":{"bindings":[)" + rows + "]}}";
}

RemoteAnswer ask(const std::string& answer, SparqlEndpoint::Limits limits = {}) {
  const Endpoint endpoint(answer);
  return SparqlEndpoint(endpoint.config(), limits).objects(entity("李白"), relation("born"));
}

TEST(Sparql, reads_rows_of_terms) {
  const RemoteAnswer answer = ask(reply(results(
      row("o", "literal", "701") + "," + row("o", "uri", "urn:x:y") + "," +
      row("o", "bnode", "b0") + "," + row("o", "uri", "not an iri") + "," +
      R"({"o":{"type":"typed-literal","datatype":"http://www.w3.org/2001/XMLSchema#integer","value":"7"}},)" +
      R"({"o":{"type":"literal","xml:lang":"zh-Hans","value":"唐"}})")));
  EXPECT_EQ(answer.status, RemoteStatus::kOk) << answer.fault;
  ASSERT_EQ(answer.rows.size(), 4u) << "the blank node and what is no IRI are left out";
  EXPECT_EQ(answer.rows[0][0], Term::text("701"));
  EXPECT_EQ(answer.rows[1][0], Term::iri("urn:x:y"));
  EXPECT_EQ(answer.rows[2][0], Term::integer(7));
  EXPECT_EQ(answer.rows[3][0].language, "zh-hans");
}

TEST(Sparql, what_a_server_does_wrong_is_told_apart) {
  const std::string good = results(row("o", "literal", "1"));
  struct Case {
    const char* what;
    std::string answer;
    RemoteStatus status;
    const char* fault;
  };
  const Case cases[] = {
      {"hangs", "", RemoteStatus::kTimeout, "no answer within 300 ms"},
      {"redirects",
       "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
       RemoteStatus::kRefused, "redirects"},
      {"breaks off", reply(good, "application/sparql-results+json", "", good.size() + 50),
       RemoteStatus::kBadAnswer, "breaks off"},
      {"cuts its JSON", reply(good.substr(0, good.size() - 5)), RemoteStatus::kBadAnswer,
       "not complete JSON"},
      {"lies about its type", reply("<html>", "text/html"), RemoteStatus::kBadAnswer, "text/html"},
      {"says it is JSON and is not", reply("<html>"), RemoteStatus::kBadAnswer,
       "not complete JSON"},
      {"is another JSON", reply("{}"), RemoteStatus::kBadAnswer, "no results.bindings"},
      {"fails", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", RemoteStatus::kBadAnswer,
       "HTTP 500"},
      {"is too large", reply(std::string(5000, ' ') + good), RemoteStatus::kTruncated,
       "larger than 4000"},
      {"cuts its rows and says so", reply(good, "application/json", "X-SPARQL-MaxRows: 1\r\n"),
       RemoteStatus::kTruncated, "more than 1 rows"},
      {"cuts its rows in silence",
       reply(results(row("o", "literal", "1") + "," + row("o", "literal", "2") + "," +
                     row("o", "literal", "3"))),
       RemoteStatus::kTruncated, "more than 3 rows"},
  };
  SparqlEndpoint::Limits limits;
  limits.total_ms = 300;
  limits.bytes = 4000;
  limits.rows = 3;
  for (const Case& c : cases) {
    const RemoteAnswer answer = ask(c.answer, limits);
    EXPECT_EQ(answer.status, c.status) << c.what << ": " << answer.fault;
    EXPECT_NE(answer.fault.find(c.fault), std::string::npos) << c.what << ": " << answer.fault;
    EXPECT_EQ(answer.fault.find('\n'), std::string::npos);
  }
}

TEST(Sparql, a_name_cannot_leave_its_quotes) {
  const Endpoint endpoint(reply(results("")));
  SparqlEndpoint(endpoint.config()).bearers("x\" } ; DROP GRAPH <urn:g> #\n\\");
  // Form-encoded: a quotation mark inside the literal follows a backslash.
  EXPECT_NE(endpoint.asked().find("x%5C%22%20%7D%20%3B%20DROP"), std::string::npos)
      << endpoint.asked();
  EXPECT_NE(endpoint.asked().find("%5Cn%5C%5C%22"), std::string::npos) << endpoint.asked();
  EXPECT_NE(endpoint.asked().find("application/x-www-form-urlencoded"), std::string::npos);
}

TEST(Sparql, private_addresses_are_asked_only_when_meant) {
  const Endpoint endpoint(reply(results("")));
  EndpointConfig config = endpoint.config();
  config.allow_private = false;
  const RemoteAnswer answer = SparqlEndpoint(config).objects(entity("李白"), relation("born"));
  EXPECT_EQ(answer.status, RemoteStatus::kRefused);
  EXPECT_NE(answer.fault.find("--allow-private"), std::string::npos);
  EXPECT_EQ(endpoint.requests(), 0);
  for (const char* bad : {"ftp://x.org/", "file:///etc/passwd", "", "http://a b/"})
    EXPECT_NE(error_of([&] {
                SparqlEndpoint({bad, true, ""});
              }).find("SPARQL endpoint"),
              std::string::npos)
        << bad;
}

TEST(Remote, a_fact_that_is_not_here_is_fetched_once_and_kept_with_its_source) {
  const Scratch scratch;
  const Endpoint endpoint(reply(results(row("o", "literal", "青莲居士"))));
  Graph graph(poets_store(scratch), SparqlEndpoint(endpoint.config()));
  const TermId poet = graph.store.find(entity("李白"));
  Store::Batch batch = graph.store.begin("add", "", "");
  batch.add(entity("x"), relation("artName"), Term::text("y"), {});
  batch.finish();
  const Direction art{graph.store.find(relation("artName")), false};
  for (int again = 0; again < 2; ++again) {
    const auto values = graph.look_up.values(poet, art, Language::kChinese);
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values[0].text, "青莲居士");
    EXPECT_EQ(graph.store.source(values[0].fact.source).name, endpoint.config().url);
  }
  EXPECT_EQ(endpoint.requests(), 1);
  // What is known here is not asked for.
  EXPECT_FALSE(
      graph.look_up.values(poet, {graph.store.find(relation("dynasty")), false}, Language::kChinese)
          .empty());
  EXPECT_EQ(endpoint.requests(), 1);
}

TEST(Remote, a_server_that_is_gone_is_left_alone_and_local_facts_still_answer) {
  const Scratch scratch;
  const EndpointConfig gone = Endpoint("").config();
  Graph graph(poets_store(scratch), SparqlEndpoint(gone));
  const TermId poet = graph.store.find(entity("李白"));
  const Direction author{graph.store.find(relation("author")), false},
      dynasty{graph.store.find(relation("dynasty")), false};
  for (int answer = 0; answer < 2; ++answer) {
    graph.remote->begin_answer();
    EXPECT_EQ(graph.look_up.values(poet, dynasty, Language::kChinese)[0].text, "唐朝");
    EXPECT_EQ(graph.remote->status(), RemoteStatus::kOk) << "nothing had to be asked";
    EXPECT_TRUE(graph.look_up.values(poet, author, Language::kChinese).empty());
    EXPECT_EQ(graph.remote->status(), RemoteStatus::kUnreachable);
    EXPECT_TRUE(graph.remote->bearers("无名").empty());
  }
}

TEST(Remote, a_key_that_was_not_answered_is_asked_for_again) {
  const Scratch scratch;
  const Endpoint endpoint("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  Graph graph(poets_store(scratch), SparqlEndpoint(endpoint.config()));
  const TermId poet = graph.store.find(entity("李白"));
  const Direction author{graph.store.find(relation("author")), false};
  for (int answer = 1; answer <= 2; ++answer) {
    EXPECT_TRUE(graph.look_up.values(poet, author, Language::kChinese).empty());
    EXPECT_EQ(graph.remote->status(), RemoteStatus::kBadAnswer);
    EXPECT_EQ(endpoint.requests(), answer);
  }
}

TEST(Remote, keeps_only_what_was_asked_for) {
  const Scratch scratch;
  // A label of something else, a name that was not asked for, and a statement that is no name.
  const Endpoint endpoint(reply(
      R"({"head":{},"results":{"bindings":[
        {"s":{"type":"uri","value":"urn:x:1"},"p":{"type":"uri","value":"http://www.w3.org/2000/01/rdf-schema#label"},"o":{"type":"literal","value":"无名"}},
        {"s":{"type":"uri","value":"urn:shenhong:entity:李白"},"p":{"type":"uri","value":"http://www.w3.org/2000/01/rdf-schema#label"},"o":{"type":"literal","value":"杜甫"}},
        {"s":{"type":"uri","value":"urn:x:1"},"p":{"type":"uri","value":"urn:shenhong:relation:born"},"o":{"type":"literal","value":"无名"}}]}})"));
  Graph graph(poets_store(scratch), SparqlEndpoint(endpoint.config()));
  const auto bearers = graph.remote->bearers("无名");
  ASSERT_EQ(bearers.size(), 1u);
  EXPECT_EQ(graph.store.term(bearers[0]).value, "urn:x:1");
  EXPECT_EQ(graph.store.facts_about(bearers[0]).size(), 1u);
  EXPECT_EQ(graph.look_up.name_of(graph.store.find(entity("李白")), Language::kChinese), "李白");
  // The name stays known.
  EXPECT_EQ(graph.remote->bearers("无名"), bearers);
  EXPECT_EQ(endpoint.requests(), 1);
}

TEST(Attached, lies_beside_the_graph_and_not_in_it) {
  const Scratch scratch;
  const fs::path graph = poets_store(scratch).path();
  EXPECT_FALSE(attached_endpoint(graph));
  const EndpointConfig config{"https://example.org/sparql", false, "key.txt"};
  attach_endpoint(graph, config);
  EXPECT_EQ(attached_endpoint(graph), config);
  fs::copy_file(graph, scratch / "copy.kg");
  EXPECT_FALSE(attached_endpoint(scratch / "copy.kg"));
  EXPECT_TRUE(detach_endpoint(graph));
  EXPECT_FALSE(detach_endpoint(graph));
}

}  // namespace
}  // namespace shenhong
