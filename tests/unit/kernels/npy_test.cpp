#include "kernels/npy.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

class Npy : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ashlar-npy-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const std::string& contents) const {
    std::ofstream(path(name), std::ios::binary) << contents;
    return path(name);
  }

  // A version 1 file with this dictionary and this many bytes of elements.
  std::string write_npy(const std::string& dictionary, std::size_t bytes, int version = 1) const {
    std::string file = "\x93NUMPY";
    file += static_cast<char>(version);
    file += '\0';
    file += static_cast<char>(dictionary.size() & 0xff);
    file += static_cast<char>(dictionary.size() >> 8);
    if (version > 1) file += std::string(2, '\0');
    return write("x.npy", file + dictionary + std::string(bytes, '\1'));
  }

  std::string refusal(const std::string& file) const {
    return bad_input_text([&] { npy_read_header(file); });
  }

  std::filesystem::path folder_;
};

TEST_F(Npy, HeadersAreWhatNumPyWrites) {
  const std::string header = npy_header(DType::float64, {3, 4});
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(10, 61), "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  ");
  EXPECT_EQ(header.back(), '\n');
  EXPECT_NE(npy_header(DType::uint8, {5}).find("'|u1', 'fortran_order': False, 'shape': (5,), }"),
            std::string::npos);
  EXPECT_NE(npy_header(DType::boolean, {}).find("'shape': (), }"), std::string::npos);
}

TEST_F(Npy, CreatedFilesReadBackForEveryType) {
  for (std::uint8_t type = 0; type < dtype_count; ++type) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 4}, Shape{0, 4}, Shape{2, 3, 4}}) {
      const NpyFile made = npy_create(path("a.npy"), DType{type}, shape);
      EXPECT_EQ(npy_read_header(path("a.npy")), made);
      EXPECT_EQ(std::filesystem::file_size(path("a.npy")),
                made.data_offset + checked_bytes(DType{type}, shape));
    }
  }
}

TEST_F(Npy, ChunksGoInAndComeOut) {
  for (const bool is_fortran : {false, true}) {
    const NpyFile file = npy_create(path("b.npy"), DType::int32, {9, 7, 5}, is_fortran);
    EXPECT_EQ(npy_read_header(path("b.npy")), file);
    std::vector<std::int32_t> whole(9 * 7 * 5);
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::int32_t>(i);
    const auto chunk_of = [&](const Shape& start, const Shape& extents) {
      std::vector<std::int32_t> values;
      for (std::int64_t i = 0; i < extents[0]; ++i) {
        for (std::int64_t j = 0; j < extents[1]; ++j) {
          for (std::int64_t k = 0; k < extents[2]; ++k) {
            values.push_back(whole[static_cast<std::size_t>(
                ((start[0] + i) * 7 + start[1] + j) * 5 + start[2] + k)]);
          }
        }
      }
      return values;
    };
    for (std::int64_t i = 0; i < 9; i += 4) {
      for (std::int64_t j = 0; j < 7; j += 3) {
        const NpyWriteParams params{
            file,
            {i, j, 0},
            {std::min<std::int64_t>(4, 9 - i), std::min<std::int64_t>(3, 7 - j), 5}};
        const auto values = chunk_of(params.start, params.extents);
        EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(values)})[0],
                  static_cast<std::int64_t>(values.size() * 4));
      }
    }
    EXPECT_EQ(run_as<std::int32_t>(NpyReadParams{file, {0, 0, 0}, {9, 7, 5}}), whole);
    SplitMix64 random(1);
    for (int round = 0; round < 100; ++round) {
      Shape start;
      Shape extents;
      for (const std::int64_t extent : file.shape) {
        start.push_back(
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(extent))));
        extents.push_back(1 + static_cast<std::int64_t>(
                                  random.below(static_cast<std::uint64_t>(extent - start.back()))));
      }
      EXPECT_EQ(run_as<std::int32_t>(NpyReadParams{file, start, extents}),
                chunk_of(start, extents));
    }
    // In the file, the first dimension of a Fortran array is the fastest.
    std::ifstream in(path("b.npy"), std::ios::binary);
    in.seekg(static_cast<std::streamoff>(file.data_offset) + 4);
    std::int32_t second = 0;
    in.read(reinterpret_cast<char*>(&second), 4);
    EXPECT_EQ(second, is_fortran ? 35 : 1);
  }
}

TEST_F(Npy, OtherWritersHeaders) {
  const NpyFile file = npy_read_header(
      write_npy("{\"shape\": (2,3) , 'fortran_order':True,'descr' : \"=f4\"}\n", 24, 2));
  EXPECT_EQ(file.shape, (Shape{2, 3}));
  EXPECT_EQ(file.dtype, DType::float32);
  EXPECT_TRUE(file.is_fortran);
  EXPECT_EQ(npy_read_header(write_npy("{'descr': '>u1', 'fortran_order': True, 'shape': (3L,)}", 3))
                .shape,
            Shape{3});
}

TEST_F(Npy, ANameWithANullCharacterTouchesNoOtherFile) {
  const std::string file = write("kept.npy", "kept");
  const std::string text = bad_input_text([&] {
    npy_create(file + std::string(1, '\0') + "x.npy", DType::float64, {2, 2});
  });
  EXPECT_NE(text.find("null character"), std::string::npos) << text;
  EXPECT_EQ(std::filesystem::file_size(file), 4u);
}

TEST_F(Npy, RefusalsNameFileAndFinding) {
  const auto says = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(".npy"), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  says(refusal(path("missing.npy")), "No such file");
  says(refusal(path("missing.npy")), "check the path");
  std::filesystem::create_directory(path("folder.npy"));
  says(refusal(path("folder.npy")), "regular file");
  says(refusal(write("e.npy", "")), "not a .npy file");
  says(refusal(write("t.npy", "hello, this is some text")), "not a .npy file");
  says(refusal(write("v.npy", std::string("\x93NUMPY\x09\0\0\0", 10))), "version 9");
  says(refusal(write("c.npy", std::string("\x93NUMPY\x01\0\xff\x7f{", 11))), "cut off");
  const std::string rest = ", 'fortran_order': False, 'shape': (2, 3), }";
  says(refusal(write_npy("{'descr': '>f8'" + rest, 48)), "big-endian");
  says(refusal(write_npy("{'descr': '<c16'" + rest, 96)), "<c16");
  says(refusal(write_npy("{'descr': '<U5'" + rest, 120)), "<U5");
  says(refusal(write_npy("{'descr': [('a', '<f8')]" + rest, 48)), "structures");
  says(refusal(write_npy("{'descr': '<f8'" + rest, 47)), "expected 48 bytes");
  says(refusal(write_npy("{'descr': '<f8'" + rest, 47)), "only 47");
  says(refusal(write_npy("{'descr': '<f8'", 48)), "malformed");
  says(refusal(write_npy("{'descr': '<f8', 'fortran_order': False}", 48)),
       "lacks the key \"shape\"");
  says(refusal(write_npy("{'fortran_order': False, 'shape': (6,)}", 48)),
       "lacks the key \"descr\"");
  says(refusal(write_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", 8)),
       "negative extent");
  says(refusal(write_npy("{'descr': '<f8', 'fortran_order': No, 'shape': (1,)}", 8)), "malformed");
  says(refusal(write_npy("{'descr': '<f8', 'fortran_order': False, 'shape': "
                         "(99999999999999999999,)}",
                         8)),
       "malformed");
  const std::string large =
      refusal(write_npy("{'descr': '<f8', 'fortran_order': False, 'shape': "
                        "(4611686018427387904, 4)}",
                        8));
  says(large, "more than 2^62 bytes");
  says(large, path("x.npy"));
}

TEST_F(Npy, AFileCutOffLaterIsAnError) {
  const NpyFile file = npy_create(path("s.npy"), DType::float64, {10});
  std::filesystem::resize_file(path("s.npy"), file.data_offset + 79);
  EXPECT_NE(bad_input_text([&] {
              run(NpyReadParams{file, {0}, {5}});
            }).find("s.npy"),
            std::string::npos);
  const auto chunk = bytes_of(std::vector<double>(5));
  EXPECT_NE(bad_input_text([&] { run(NpyWriteParams{file, {0}, {5}}, {chunk}); }), "");
  std::filesystem::remove(path("s.npy"));
  EXPECT_NE(bad_input_text([&] { run(NpyReadParams{file, {0}, {5}}); }), "");
  EXPECT_NE(bad_input_text([&] { run(NpyWriteParams{file, {0}, {5}}, {chunk}); }), "");
  EXPECT_FALSE(std::filesystem::exists(path("s.npy")));
}

TEST_F(Npy, BoxesOutsideAreRefused) {
  const NpyFile file = npy_create(path("o.npy"), DType::float64, {4, 4});
  std::vector<std::byte> to(32);
  EXPECT_THROW(npy_read_box(file, {3, 0}, {2, 2}, to), BadInput);
  EXPECT_THROW(npy_read_box(file, {-1, 0}, {2, 2}, to), BadInput);
  EXPECT_THROW(npy_read_box(file, {0}, {4}, to), BadInput);
  EXPECT_THROW(npy_read_box(file, {0, 0}, {4, 2}, to), BadInput);
  EXPECT_THROW(npy_create(path("no/such/folder.npy"), DType::float64, {2}), BadInput);
}

TEST_F(Npy, BooleansComeOutAsZeroOrOne) {
  const NpyFile file = npy_create(path("q.npy"), DType::boolean, {3});
  std::fstream out(path("q.npy"), std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(file.data_offset));
  out << '\x02' << '\0' << '\xff';
  out.close();
  EXPECT_EQ(run_as<std::uint8_t>(NpyReadParams{file, {0}, {3}}),
            (std::vector<std::uint8_t>{1, 0, 1}));
}

}  // namespace
}  // namespace ashlar::kernels::testing
