import java.io.InputStream;
import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;

/**
 * Java reads no proxy from the environment, so the client is told. JAVA_TOOL_OPTIONS gives it the truststore, and lets it
 * show its key to a proxy: jdk.http.auth.tunneling.disabledSchemes has to be empty.
 */
public class Main {
  public static void main(String[] arguments) throws Exception {
    URI proxy = URI.create(System.getenv("HTTPS_PROXY"));
    String[] login = proxy.getRawUserInfo().split(":", 2);

    HttpClient client = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .followRedirects(HttpClient.Redirect.NORMAL)
        .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
        .authenticator(new Authenticator() {
          @Override
          protected PasswordAuthentication getPasswordAuthentication() {
            boolean isProxy = getRequestorType() == RequestorType.PROXY;
            return isProxy ? new PasswordAuthentication(login[0], login[1].toCharArray()) : null;
          }
        })
        .build();

    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(System.getenv("URL")));
    String grant = System.getenv("GRANT");
    if (grant != null) request.header("X-Alter-Grant", grant);
    String file = System.getenv("FILE");
    if (file != null) request.POST(HttpRequest.BodyPublishers.ofFile(Path.of(file)));

    HttpResponse<InputStream> response = client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
    System.out.println(response.statusCode());
    response.body().transferTo(System.out);
    System.out.flush();
  }
}
