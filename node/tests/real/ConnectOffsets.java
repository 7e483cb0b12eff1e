// Reads and writes an offsets file the way Kafka Connect's FileOffsetBackingStore does: a HashMap<byte[], byte[]>
// through an object stream.
//
//   print FILE                   key, tab, value; one pair a line, sorted by key
//   write FILE KEY VALUE OTHER   two pairs: KEY with VALUE, OTHER with null

import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

public class ConnectOffsets {
    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[1]);
        if (arguments[0].equals("print")) {
            print(file);
        } else {
            Map<byte[], byte[]> offsets = new HashMap<>();
            offsets.put(bytes(arguments[2]), bytes(arguments[3]));
            offsets.put(bytes(arguments[4]), null);
            try (ObjectOutputStream out = new ObjectOutputStream(Files.newOutputStream(file))) {
                out.writeObject(offsets);
            }
        }
    }

    private static void print(Path file) throws Exception {
        Map<String, String> sorted = new TreeMap<>();
        try (ObjectInputStream in = new ObjectInputStream(Files.newInputStream(file))) {
            for (Map.Entry<?, ?> pair : ((HashMap<?, ?>) in.readObject()).entrySet()) {
                sorted.put(text(pair.getKey()), text(pair.getValue()));
            }
        }
        sorted.forEach((key, value) -> System.out.print(key + "\t" + value + "\n"));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(Object bytes) {
        return bytes == null ? "null" : new String((byte[]) bytes, StandardCharsets.UTF_8);
    }
}
