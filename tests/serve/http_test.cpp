#include "serve/http.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "serve/api_error.h"
#include "serve/raw_client.h"
#include "serve/responder.h"

namespace shenhong {
namespace {

using std::chrono::milliseconds;

std::vector<Route> simple_routes() {
  return {
      {"GET", "/hello", [](const Request&, const Responder& r) { r.send({.body = "hello"}); }},
      {"POST", "/echo", [](const Request& q, const Responder& r) { r.send({.body = q.body}); }},
      {"GET", "/tail/*", [](const Request& q, const Responder& r) { r.send({.body = q.path}); }},
      {"GET", "/throw",
       [](const Request&, const Responder&) { fail(Exit::kUsage, "n = 3: want 2"); }},
      {"GET", "/bug", [](const Request&, const Responder&) { throw Bug("secret/place.cpp:1"); }},
      {"GET", "/forget", [](const Request&, const Responder&) {}},
  };
}

// A route whose handler hands its Responder to the test.
struct Held {
  std::promise<Responder> promise;
  std::future<Responder> future = promise.get_future();
  Handler handler() {
    return [this](const Request&, const Responder& r) { promise.set_value(r); };
  }
};

// Waits until `token` is requested to stop. The limit only lets a failing test end.
void await_cancel(const std::stop_token& token) {
  std::promise<void> cancelled;
  const std::stop_callback callback(token, [&] { cancelled.set_value(); });
  EXPECT_EQ(cancelled.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST(Http, answers_a_request_and_keeps_the_connection) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  const std::string answer = client.ask(get("/hello", "X-Request-Id: abc-1\r\n"));
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_EQ(body_of(answer), "hello");
  EXPECT_NE(answer.find("X-Request-Id: abc-1\r\n"), answer.npos);
  EXPECT_NE(answer.find("Connection: keep-alive\r\n"), answer.npos);
  EXPECT_NE(answer.find("Content-Type: application/json\r\n"), answer.npos);
  EXPECT_EQ(body_of(client.ask(post("/echo", "again"))), "again");
}

TEST(Http, a_harmful_request_id_is_replaced) {
  RunningServer server(simple_routes());
  const std::string answer = RawClient(server.port()).ask(get("/hello", "X-Request-Id: a<b>\r\n"));
  EXPECT_NE(answer.find("X-Request-Id: req_"), answer.npos);
}

TEST(Http, pipelined_requests_are_answered_in_order) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  client.send(post("/echo", "one") + get("/hello") + post("/echo", "three"));
  EXPECT_EQ(body_of(client.read_answer()), "one");
  EXPECT_EQ(body_of(client.read_answer()), "hello");
  EXPECT_EQ(body_of(client.read_answer()), "three");
}

TEST(Http, reads_chunked_bodies_and_percent_signs_and_slashes) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  EXPECT_EQ(body_of(client.ask("POST /echo/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")),
            "abcde");
  EXPECT_EQ(body_of(client.ask(get("/tail/a%2Fb?x=1"))), "/tail/a/b");
  EXPECT_EQ(status_of(client.ask(get("/tail/"))), 404);
}

TEST(Http, says_continue_before_a_large_body) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(body_of(client.ask("ok")), "ok");
}

TEST(Http, head_has_the_length_but_no_body) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  client.send("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string head = client.read_answer(/*head_only=*/true);
  EXPECT_NE(head.find("Content-Length: 5\r\n"), head.npos);
  EXPECT_EQ(body_of(client.ask(get("/hello"))), "hello") << "a body after HEAD would stand here";
}

TEST(Http, unknown_paths_and_methods_are_named) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  const std::string missing = client.ask(get("/nothing"));
  EXPECT_EQ(status_of(missing), 404);
  EXPECT_NE(missing.find("/nothing"), missing.npos);
  const std::string wrong = client.ask(post("/hello", ""));
  EXPECT_EQ(status_of(wrong), 405);
  EXPECT_NE(wrong.find("Allow: GET, HEAD, OPTIONS\r\n"), wrong.npos);
  const std::string options = client.ask("OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(status_of(options), 204);
  EXPECT_NE(options.find("Allow: POST, OPTIONS\r\n"), options.npos);
  EXPECT_EQ(options.find("Access-Control"), options.npos) << "no page of another site may read us";
}

TEST(Http, what_a_handler_throws_becomes_an_error_with_all_four_keys) {
  RunningServer server(simple_routes());
  RawClient client(server.port());
  const std::string usage = client.ask(get("/throw"));
  EXPECT_EQ(status_of(usage), 400);
  EXPECT_EQ(body_of(usage), R"({"error":{"message":"n = 3: want 2","type":"invalid_request_error",)"
                            R"("param":null,"code":"invalid_value"}})");
  EXPECT_NE(usage.find("X-Should-Retry: false\r\n"), usage.npos);
  const std::string bug = client.ask(get("/bug"));
  EXPECT_EQ(status_of(bug), 500);
  EXPECT_EQ(bug.find("secret"), bug.npos) << "a bug's text is not for clients";
  EXPECT_EQ(status_of(client.ask(get("/forget"))), 500) << "a dropped request is answered";
}

struct BadRequest {
  const char* what;
  std::string bytes;
  int status;
};

TEST(Http, malformed_and_oversized_requests_get_their_status_and_a_close) {
  const std::string host = "Host: localhost\r\n";
  const std::string post_head = "POST /echo HTTP/1.1\r\n" + host;
  const BadRequest table[] = {
      {"no HTTP", "hello there\r\n\r\n", 400},
      {"a TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 400},
      {"HTTP/2", "GET /hello HTTP/2.0\r\n" + host + "\r\n", 400},
      {"a space before the colon", "GET /hello HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
      {"no Host", "GET /hello HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", "GET /hello HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"a full address", "GET http://localhost/hello HTTP/1.1\r\n" + host + "\r\n", 400},
      {"a bad percent sign", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
      {"a coded zero", "GET /%00 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"length and chunks",
       post_head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length",
       post_head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {"two lengths", post_head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
      {"a negative length", post_head + "Content-Length: -1\r\n\r\n", 400},
      {"another coding", post_head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
      {"coding of an old client",
       "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"a negative chunk", post_head + "Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
       400},
      {"an endless chunk", post_head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
       400},
      {"a large body", post_head + "Content-Length: 1000001\r\n\r\n" + std::string(1000001, 'x'),
       413},
      {"a large chunk", post_head + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413},
      {"a large header",
       "GET /hello HTTP/1.1\r\n" + host + "A: " + std::string(20000, 'x') + "\r\n\r\n", 431},
      {"a large target", "GET /" + std::string(20000, 'x'), 431},
  };
  HttpOptions options;
  options.max_body_bytes = 1'000'000;
  RunningServer server(simple_routes(), options);
  for (const BadRequest& bad : table) {
    RawClient client(server.port());
    client.send(bad.bytes);
    const std::string answer = client.read_all();
    EXPECT_EQ(status_of(answer), bad.status) << bad.what;
    EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos) << bad.what;
    EXPECT_NE(answer.find("{\"error\":{\"message\":"), answer.npos) << bad.what;
  }
  EXPECT_EQ(status_of(RawClient(server.port()).ask(get("/hello"))), 200) << "and lives on";
}

TEST(Http, pages_of_other_sites_are_refused) {
  RunningServer server(simple_routes());
  const auto ask = [&](const std::string& host, const std::string& origin) {
    std::string request = "POST /echo HTTP/1.1\r\nContent-Length: 0\r\nHost: " + host + "\r\n";
    if (!origin.empty()) request += "Origin: " + origin + "\r\n";
    return status_of(RawClient(server.port()).ask(request + "\r\n"));
  };
  EXPECT_EQ(ask("127.0.0.1:8020", ""), 200);
  EXPECT_EQ(ask("localhost:8020", "http://localhost:8020"), 200);
  EXPECT_EQ(ask("evil.example", ""), 403);
  EXPECT_EQ(ask("127.0.0.1.evil.example", ""), 403);
  EXPECT_EQ(ask("localhost:8020", "https://evil.example"), 403);
  EXPECT_EQ(ask("localhost:8020", "null"), 403);
}

TEST(Http, a_stream_reaches_the_client_event_by_event) {
  Held held;
  RunningServer server({{"GET", "/stream", held.handler()}});
  RawClient client(server.port());
  client.send(get("/stream"));
  Responder responder = held.future.get();
  responder.start_events();
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Type: text/event-stream; charset=utf-8\r\n"), head.npos);
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), head.npos);
  EXPECT_TRUE(responder.event("一"));
  EXPECT_EQ(client.read_until("\n\n\r\n"), "b\r\ndata: 一\n\n\r\n");
  EXPECT_TRUE(responder.event("2"));
  EXPECT_EQ(client.read_until("\n\n\r\n"), "9\r\ndata: 2\n\n\r\n");
  responder.fail(ApiError(500, "x", "late"));
  EXPECT_NE(client.read_until("0\r\n\r\n").find("data: {\"error\":{\"message\":\"late\""),
            std::string::npos);
}

TEST(Http, an_old_client_gets_its_stream_without_chunks) {
  Held held;
  RunningServer server({{"GET", "/stream", held.handler()}});
  RawClient client(server.port());
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  {
    const Responder responder = held.future.get();
    responder.start_events();
    responder.event("1");
    responder.end();
  }
  EXPECT_EQ(body_of(client.read_all()), "data: 1\n\n");
}

TEST(Http, a_silent_stream_gets_pings) {
  Held held;
  HttpOptions options;
  options.ping_time = milliseconds(1);
  RunningServer server({{"GET", "/stream", held.handler()}}, options);
  RawClient client(server.port());
  client.send(get("/stream"));
  const Responder responder = held.future.get();
  responder.start_events();
  EXPECT_NE(client.read_until(": ping\n\n").find(": ping"), std::string::npos);
  responder.end();
}

TEST(Http, a_stream_that_is_dropped_lacks_its_last_chunk) {
  Held held;
  RunningServer server({{"GET", "/stream", held.handler()}});
  RawClient client(server.port());
  client.send(get("/stream"));
  {
    const Responder responder = std::exchange(held.future, {}).get();
    held.promise = {};
    responder.start_events();
    responder.event("1");
  }
  EXPECT_TRUE(client.read_all().ends_with("data: 1\n\n\r\n"));
}

TEST(Http, a_client_that_leaves_cancels_its_own_request_only) {
  Held first, second;
  RunningServer server({{"GET", "/first", first.handler()}, {"GET", "/second", second.handler()}});
  RawClient leaving(server.port()), staying(server.port());
  leaving.send(get("/first"));
  staying.send(get("/second"));
  const Responder gone = first.future.get(), here = second.future.get();
  gone.start_events();
  leaving.close();
  await_cancel(gone.cancelled());
  EXPECT_FALSE(gone.event("1"));
  EXPECT_FALSE(here.cancelled().stop_requested());
  here.send({.body = "still"});
  EXPECT_EQ(body_of(staying.read_answer()), "still");
}

TEST(Http, a_client_that_leaves_before_any_answer_is_noticed_too) {
  Held held;
  RunningServer server({{"GET", "/wait", held.handler()}});
  RawClient client(server.port());
  client.send(get("/wait"));
  const Responder responder = held.future.get();
  client.close();
  await_cancel(responder.cancelled());
}

TEST(Http, a_client_that_does_not_read_is_dropped) {
  Held held;
  HttpOptions options;
  options.max_unread_bytes = 64 << 10;
  RunningServer server({{"GET", "/stream", held.handler()}}, options);
  RawClient client(server.port());
  client.send(get("/stream"));
  const Responder responder = held.future.get();
  responder.start_events();
  const std::string kilobyte(1024, 'x');
  bool accepted = true;
  for (int i = 0; i < 100'000 && accepted; ++i) accepted = responder.event(kilobyte);
  EXPECT_FALSE(accepted);
  EXPECT_TRUE(responder.cancelled().stop_requested());
  client.close();
}

TEST(Http, a_client_that_drips_its_header_is_timed_out) {
  HttpOptions options;
  options.header_time = milliseconds(20);
  RunningServer server(simple_routes(), options);
  RawClient client(server.port());
  client.send("GET /hello HTT");
  EXPECT_EQ(status_of(client.read_all()), 408);
}

TEST(Http, a_client_that_drips_its_body_is_timed_out) {
  HttpOptions options;
  options.body_time = milliseconds(20);
  RunningServer server(simple_routes(), options);
  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhal");
  EXPECT_EQ(status_of(client.read_all()), 408);
}

TEST(Http, a_silent_connection_is_closed_without_a_word) {
  HttpOptions options;
  options.idle_time = milliseconds(20);
  RunningServer server(simple_routes(), options);
  EXPECT_EQ(RawClient(server.port()).read_all(), "");
}

TEST(Http, one_connection_too_many_gets_503) {
  HttpOptions options;
  options.max_connections = 1;
  RunningServer server(simple_routes(), options);
  RawClient first(server.port());
  EXPECT_EQ(status_of(first.ask(get("/hello"))), 200);
  const std::string answer = RawClient(server.port()).read_all();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_NE(answer.find("Retry-After: "), answer.npos);
  EXPECT_EQ(status_of(first.ask(get("/hello"))), 200);
}

TEST(Http, hundreds_of_clients_are_answered) {
  RunningServer server(simple_routes());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(get("/hello"));
  }
  for (const auto& client : clients) EXPECT_EQ(status_of(client->read_answer()), 200);
}

TEST(Http, stop_lets_a_running_request_finish_and_then_returns) {
  Held held;
  RunningServer server({{"GET", "/stream", held.handler()}});
  RawClient client(server.port()), idle(server.port());
  client.send(get("/stream"));
  {
    const Responder responder = held.future.get();
    responder.start_events();
    responder.event("1");
    EXPECT_NE(client.read_until("data: 1\n\n").size(), 0u);
    server.http().stop();
    EXPECT_EQ(idle.read_all(), "") << "a connection without a request is closed";
    EXPECT_TRUE(server.http().stopping());
    EXPECT_FALSE(RawClient(server.port()).connected());
    EXPECT_FALSE(responder.cancelled().stop_requested());
    EXPECT_TRUE(responder.event("2"));
    responder.end();
  }
  EXPECT_TRUE(client.read_all().ends_with("data: 2\n\n\r\n0\r\n\r\n"));
  server.join();
}

TEST(Http, after_the_drain_time_requests_are_cancelled_and_can_say_so) {
  Held held;
  HttpOptions options;
  options.drain_time = milliseconds(1);
  RunningServer server({{"GET", "/stream", held.handler()}}, options);
  RawClient client(server.port());
  client.send(get("/stream"));
  const Responder responder = held.future.get();
  responder.start_events();
  server.http().stop();
  await_cancel(responder.cancelled());
  EXPECT_TRUE(responder.server_left());
  responder.fail(ApiError(503, "server_stopping", "bye"));
  EXPECT_NE(client.read_all().find("\"code\":\"server_stopping\""), std::string::npos);
  server.join();
}

TEST(Http, a_taken_port_is_an_error_that_says_what_to_do) {
  RunningServer server(simple_routes());
  HttpOptions options;
  options.port = server.port();
  try {
    HttpServer second(options);
    FAIL() << "two servers on one port";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("in use"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("--port"), std::string::npos);
  }
  EXPECT_THROW(HttpServer({.host = "no address"}), Error);
}

}  // namespace
}  // namespace shenhong
