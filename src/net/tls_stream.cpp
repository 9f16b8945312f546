#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "net/tls_openssl.hpp"

namespace ashlar::net {

namespace {

constexpr std::size_t record_bytes = 16 << 10;  // the largest there may be
/// Encrypted before it is sent with one system call.
constexpr std::size_t sealed_bytes_max = 8 * record_bytes;
constexpr std::size_t received_bytes_max = 1 << 20;

constexpr std::byte handshake_record{22};
constexpr std::byte alert_record{21};
/// Says "fatal: protocol version" to who waits for bytes that are not encrypted.
constexpr char refusal[] = {21, 3, 3, 0, 2, 2, 70};

constexpr const char* options = "--tls-cert, --tls-key and --tls-ca";

/// The part of a message to the other end, which does not know more than the code.
std::string meaning_of_alert(int reason) {
  switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "the other side does not accept this side's certificate: another authority than that "
             "of its --tls-ca has signed it";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "the other side does not accept this side's certificate: it has expired; have a new "
             "one signed";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "the other side expects a certificate of this side";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return "the other side does not accept this side's certificate; its log says why";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "one side does not speak TLS 1.3, which the other one expects";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return "what came has changed on its way";
    case SSL_R_SSLV3_ALERT_BAD_RECORD_MAC:
      return "what was sent has changed on its way";
    default:
      return {};
  }
}

/// Of an end that was accepted: nobody else can have written what makes no sense.
bool means_spoiled(int reason) {
  const bool is_alert = reason >= SSL_AD_REASON_OFFSET;
  return !is_alert || reason == SSL_R_SSLV3_ALERT_BAD_RECORD_MAC ||
         reason == SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE ||
         reason == SSL_R_TLSV1_ALERT_RECORD_OVERFLOW ||
         reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION;
}

/// What is to be encrypted.
class Parts {
 public:
  explicit Parts(std::span<const iovec> parts) : parts_(parts) {}

  bool is_empty() const { return parts_.empty(); }
  /// What comes next: part of a large one as it lies, small ones together in the room.
  std::span<const std::byte> take(std::span<std::byte, record_bytes> room) {
    if (const auto next = front(); next.size() >= record_bytes) {
      const auto taken = next.first(std::min(next.size(), sealed_bytes_max));
      drop(taken.size());
      return taken;
    }
    std::size_t count = 0;
    while (!is_empty() && count < room.size()) {
      const auto next = front().first(std::min(front().size(), room.size() - count));
      std::memcpy(room.data() + count, next.data(), next.size());
      count += next.size();
      drop(next.size());
    }
    return room.first(count);
  }

 private:
  std::span<const std::byte> front() const {
    const iovec& part = parts_.front();
    return std::span(static_cast<const std::byte*>(part.iov_base), part.iov_len).subspan(dropped_);
  }
  void drop(std::size_t count) {
    dropped_ += count;
    if (dropped_ < parts_.front().iov_len) return;
    parts_ = parts_.subspan(1);
    dropped_ = 0;
  }

  std::span<const iovec> parts_;
  std::size_t dropped_ = 0;  ///< of the first
};

class OpenSslStream final : public TlsStream {
 public:
  OpenSslStream(OpenSslContext context, OpenSslMethod method, int socket, Link::Side side,
                std::uint64_t bytes_per_key)
      : context_(std::move(context)),
        method_(std::move(method)),
        ssl_(SSL_new(context_.get())),
        socket_(socket),
        side_(side),
        bytes_per_key_(bytes_per_key) {
    BIO* const bio = BIO_new(method_.get());
    if (!ssl_ || bio == nullptr) {
      BIO_free(bio);
      fail(take_openssl_error());
      return;
    }
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    side == Link::Side::connecting ? SSL_set_connect_state(ssl_.get())
                                   : SSL_set_accept_state(ssl_.get());
  }

  bool is_established() const override { return is_established_; }
  bool has_received() const override { return has_received_ || error_ != 0; }
  bool has_unsent() const override { return sent_ < sealed_.size(); }
  const std::string& problem() const override { return problem_; }
  bool is_spoiled() const override { return is_spoiled_; }

  long receive(std::array<std::span<std::byte>, 2> parts) override {
    has_received_ = false;
    if (error_ != 0) return -error_;
    if (!is_established_ && !shake_hands()) return error_ != 0 ? -error_ : -EAGAIN;
    std::size_t received = 0;
    for (std::span<std::byte> part : parts) {
      while (!part.empty() && received < received_bytes_max) {
        std::size_t count = 0;
        ERR_clear_error();
        if (SSL_read_ex(ssl_.get(), part.data(), part.size(), &count) != 1) {
          const long outcome = outcome_of_reading();
          return received > 0 ? static_cast<long>(received) : outcome;
        }
        received += count;
        part = part.subspan(count);
      }
    }
    has_received_ = true;
    return static_cast<long>(received);
  }

  long send(std::span<const iovec> parts) override {
    if (const int error = send_sealed(); error != 0) return -error;
    if (!is_established_) return 0;
    const std::size_t sealed = seal(parts);
    const int error = send_sealed();
    return sealed > 0 || error == 0 ? static_cast<long>(sealed) : -error;
  }

  // What OpenSSL reads and writes.

  int read_socket(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    long received;
    do {
      received = ::recv(socket_, into, static_cast<std::size_t>(size), MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < 0 && would_block(errno)) BIO_set_retry_read(bio);
    if (received < 0 && !would_block(errno)) socket_error_ = errno;
    if (received == 0) is_at_end_ = true;
    if (received <= 0) return static_cast<int>(received);
    if (std::exchange(has_heard_, true)) return static_cast<int>(received);
    // What is no TLS from its first byte is told apart from TLS that fails.
    const std::byte first{static_cast<unsigned char>(*into)};
    is_peer_plain_ =
        first != handshake_record && (first != alert_record || side_ == Link::Side::accepting);
    return is_peer_plain_ ? -1 : static_cast<int>(received);
  }

  int keep_sealed(const char* bytes, int size) {
    const auto* first = reinterpret_cast<const std::byte*>(bytes);
    sealed_.insert(sealed_.end(), first, first + size);
    return size;
  }

  bool is_at_end() const { return is_at_end_; }

 private:
  static int on_verify(int is_accepted, X509_STORE_CTX* check) {
    const int at = SSL_get_ex_data_X509_STORE_CTX_idx();
    const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(check, at));
    if (is_accepted == 0) {
      static_cast<OpenSslStream*>(SSL_get_app_data(ssl))->refused_ =
          subject_of(X509_STORE_CTX_get0_cert(check));
    }
    return is_accepted;
  }

  /// Returns whether it is done.
  bool shake_hands() {
    ERR_clear_error();
    const int outcome = SSL_do_handshake(ssl_.get());
    if (outcome == 1) {
      is_established_ = true;
      return true;
    }
    if (SSL_get_error(ssl_.get(), outcome) != SSL_ERROR_WANT_READ) fail(why_no_handshake());
    return false;
  }

  std::string why_no_handshake() {
    if (is_peer_plain_) {
      if (side_ == Link::Side::accepting) keep_sealed(refusal, sizeof refusal);
      return std::string("the other side does not use TLS, and this one does: give it ") + options +
             ", too";
    }
    if (is_at_end_ || socket_error_ != 0) {
      return std::string(
                 "the other side closed the connection instead of a handshake; if it does "
                 "not use TLS, give it ") +
             options + ", too, else its log says why";
    }
    return why_openssl_failed();
  }

  std::string why_openssl_failed() const {
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) return why_not_accepted();
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
      return std::string("the other side has no certificate: give it ") + options;
    const std::string meaning = meaning_of_alert(reason);
    return meaning.empty() ? take_openssl_error() : meaning;
  }

  std::string why_not_accepted() const {
    const long problem = SSL_get_verify_result(ssl_.get());
    const std::string why = "the other side's certificate (" + refused_ +
                            ") is not accepted: " + X509_verify_cert_error_string(problem);
    return why + remedy_for(static_cast<int>(problem),
                            "; expected one that was signed by the authority of --tls-ca");
  }

  /// Of a call that read nothing.
  long outcome_of_reading() {
    switch (SSL_get_error(ssl_.get(), 0)) {
      case SSL_ERROR_WANT_READ:
        return -EAGAIN;
      case SSL_ERROR_ZERO_RETURN:
        return 0;
      default:
        break;
    }
    if (is_at_end_) return 0;  // links end so: what they carry has lengths
    if (socket_error_ != 0) {
      error_ = socket_error_;
    } else {
      is_spoiled_ = means_spoiled(ERR_GET_REASON(ERR_peek_last_error()));
      fail(why_openssl_failed());
    }
    return -error_;
  }

  void fail(const std::string& why) {
    error_ = EPROTO;
    problem_ = "TLS: " + why;
    ERR_clear_error();
    send_sealed();  // perhaps tells the other side
  }

  /// Encrypts what goes out at once.
  std::size_t seal(std::span<const iovec> parts) {
    Parts from(parts);
    std::size_t done = 0;
    std::array<std::byte, record_bytes> room;
    while (!from.is_empty() && sealed_.size() < sealed_bytes_max) {
      const std::span<const std::byte> next = from.take(room);
      if (!seal(next)) break;
      done += next.size();
    }
    return done;
  }

  bool seal(std::span<const std::byte> bytes) {
    if (bytes_of_key_ >= bytes_per_key_) {
      bytes_of_key_ = 0;
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    bytes_of_key_ += bytes.size();
    std::size_t count = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count) == 1) return true;
    fail(why_openssl_failed());
    return false;
  }

  /// Returns an error's number, or 0.
  int send_sealed() {
    while (has_unsent()) {
      iovec part{sealed_.data() + sent_, sealed_.size() - sent_};
      const long sent = send_parts(socket_, {&part, 1}, -1);
      if (sent < 0) return static_cast<int>(-sent);
      sent_ += static_cast<std::size_t>(sent);
    }
    sealed_.clear();
    sent_ = 0;
    return error_;
  }

  OpenSslContext context_;
  OpenSslMethod method_;
  OpenSslPointer<SSL, SSL_free> ssl_;
  int socket_;
  Link::Side side_;
  std::uint64_t bytes_per_key_;
  bool is_established_ = false;
  bool has_received_ = false;
  bool has_heard_ = false;
  bool is_peer_plain_ = false;
  bool is_at_end_ = false;
  int socket_error_ = 0;
  int error_ = 0;  ///< nothing more can be done
  bool is_spoiled_ = false;
  std::string problem_;
  std::string refused_;            ///< whose certificate is not accepted
  std::vector<std::byte> sealed_;  ///< for the socket
  std::size_t sent_ = 0;           ///< of these
  std::uint64_t bytes_of_key_ = 0;
};

OpenSslStream& stream_of(BIO* bio) { return *static_cast<OpenSslStream*>(BIO_get_data(bio)); }

int on_read(BIO* bio, char* into, int size) { return stream_of(bio).read_socket(bio, into, size); }

int on_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  return stream_of(bio).keep_sealed(bytes, size);
}

long on_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return stream_of(bio).is_at_end() ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

}  // namespace

// Not OpenSSL's own way to a socket: that raises SIGPIPE in the program when the other side is
// gone, and sends each record by itself.
OpenSslMethod make_socket_method() {
  OpenSslMethod method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket of a link"), BIO_meth_free);
  BIO_meth_set_read(method.get(), on_read);
  BIO_meth_set_write(method.get(), on_write);
  BIO_meth_set_ctrl(method.get(), on_control);
  return method;
}

std::unique_ptr<TlsStream> open_tls_stream(OpenSslContext context, OpenSslMethod method, int socket,
                                           Link::Side side, std::uint64_t bytes_per_key) {
  return std::make_unique<OpenSslStream>(std::move(context), std::move(method), socket, side,
                                         bytes_per_key);
}

}  // namespace ashlar::net
