// Prints SHA-256 and CRC-32 of the named files, or of standard input when none is named. Paths are relative to the
// first granted directory, which is what Zig takes for the working directory.
const std = @import("std");
const Io = std.Io;
const Sha256 = std.crypto.hash.sha2.Sha256;
const Crc32 = std.hash.Crc32;

fn checksum(reader: *Io.Reader, out: *Io.Writer, name: []const u8) !void {
    var sha = Sha256.init(.{});
    var crc = Crc32.init();
    var length: u64 = 0;
    var chunk: [4096]u8 = undefined;
    while (true) {
        const n = try reader.readSliceShort(&chunk);
        if (n == 0) break;
        sha.update(chunk[0..n]);
        crc.update(chunk[0..n]);
        length += n;
    }
    var digest: [Sha256.digest_length]u8 = undefined;
    sha.final(&digest);
    try out.print("{x} {x:0>8} {d:>7} {s}\n", .{ &digest, crc.final(), length, name });
}

pub fn main(init: std.process.Init) !u8 {
    const io = init.io;
    var out_buffer: [1024]u8 = undefined;
    var out_writer: Io.File.Writer = .init(.stdout(), io, &out_buffer);
    const out = &out_writer.interface;
    var in_buffer: [4096]u8 = undefined;

    const args = try init.minimal.args.toSlice(init.arena.allocator());
    if (args.len < 2) {
        var in = Io.File.stdin().reader(io, &in_buffer);
        try checksum(&in.interface, out, "-");
    }
    var exit_code: u8 = 0;
    for (args[@min(args.len, 1)..]) |path| {
        const file = Io.Dir.cwd().openFile(io, path, .{}) catch |err| {
            try out.print("{s}: {s}\n", .{ path, @errorName(err) });
            exit_code = 1;
            continue;
        };
        defer file.close(io);
        var in = file.reader(io, &in_buffer);
        try checksum(&in.interface, out, path);
    }
    try out.flush();
    return exit_code;
}
