// SPDX-License-Identifier: Apache-2.0
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Base64;
import java.util.Properties;

/** Where the cases connect to, and as whom. */
final class Target {
    private static final String STORE_PASSWORD = "only for the moment";

    private final String host;
    private final int port;
    private final String user;
    private final Path keyStore;

    Target(String host, int port, String user) throws Exception {
        this.host = host;
        this.port = port;
        this.user = user;
        this.keyStore = System.getenv("CASES_TLS_CERT") == null ? null : makeKeyStore();
    }

    /** The driver takes a client certificate out of a key store only. */
    private static Path makeKeyStore() throws Exception {
        Path file = Files.createTempFile("cases", ".p12");
        file.toFile().deleteOnExit();
        Certificate[] chain;
        try (InputStream pem = Files.newInputStream(Path.of(System.getenv("CASES_TLS_CERT")))) {
            chain = CertificateFactory.getInstance("X.509").generateCertificates(pem).toArray(new Certificate[0]);
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("own", readKey(Path.of(System.getenv("CASES_TLS_KEY"))), STORE_PASSWORD.toCharArray(), chain);
        try (OutputStream out = Files.newOutputStream(file)) {
            store.store(out, STORE_PASSWORD.toCharArray());
        }
        return file;
    }

    /** PKCS #8 only; the algorithm is found by trying. */
    private static PrivateKey readKey(Path pem) throws Exception {
        String body = Files.readString(pem).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(body));
        for (String algorithm : new String[] {"EC", "RSA", "Ed25519"}) {
            try {
                return KeyFactory.getInstance(algorithm).generatePrivate(key);
            } catch (GeneralSecurityException next) {
                continue;
            }
        }
        throw new GeneralSecurityException("no key of a known kind in " + pem);
    }

    /** Options are pairs, name and value, on top of what every connection has. */
    String url(String... options) {
        boolean socket = host.startsWith("/");
        StringBuilder url = new StringBuilder("jdbc:mariadb://");
        url.append(socket ? "localhost:3306" : host + ":" + port).append("/").append(schema(options));
        url.append("?user=").append(user);
        if (socket) {
            url.append("&localSocket=").append(host);
        }
        if (keyStore != null) {
            url.append("&useSsl=true&serverSslCert=").append(System.getenv("CASES_TLS_CA"));
            url.append("&keyStore=").append(keyStore).append("&keyStoreType=PKCS12");
            url.append("&keyStorePassword=").append(STORE_PASSWORD);
        }
        url.append("&serverTimezone=UTC&allowMultiQueries=true");
        for (int i = 0; i < options.length; i += 2) {
            if (!options[i].equals("schema")) {
                url.append("&").append(options[i]).append("=").append(options[i + 1]);
            }
        }
        return url.toString();
    }

    private static String schema(String... options) {
        for (int i = 0; i < options.length; i += 2) {
            if (options[i].equals("schema")) {
                return options[i + 1];
            }
        }
        return "shop";
    }

    Connection connect(String... options) throws SQLException {
        return DriverManager.getConnection(url(options), new Properties());
    }
}
