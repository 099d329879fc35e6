#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "core/error.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

TEST(KernelChoice, every_table_has_its_own_name_and_is_found_by_it) {
  std::set<std::string_view> names;
  for (const Kernels<float>* table : kernels_available()) {
    EXPECT_TRUE(names.insert(table->name).second) << table->name;
    EXPECT_EQ(&kernels_named(table->name), table);
  }
}

TEST(KernelChoice, the_scalar_definition_is_always_there_and_last) {
  EXPECT_EQ(kernels_available().back(), &scalar_kernels<float>());
  EXPECT_EQ(scalar_kernels<float>().name, "scalar");
}

TEST(KernelChoice, an_unknown_name_is_a_usage_error_that_lists_the_names) {
  for (const char* name : {"avx9", "", "SCALAR", "scalar "}) {
    try {
      kernels_named(name);
      FAIL() << "'" << name << "' was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kUsage);
      for (const Kernels<float>* table : kernels_available())
        EXPECT_NE(std::string(error.what()).find(table->name), std::string::npos) << error.what();
    }
  }
}

TEST(KernelChoice, the_environment_decides_and_else_the_best) {
  const char* name = std::getenv("SHENHONG_KERNELS");
  EXPECT_EQ(&kernels<float>(), name ? &kernels_named(name) : kernels_available().front());
  EXPECT_EQ(&kernels<double>(), &scalar_kernels<double>());
}

TEST(KernelChoice, no_table_leaves_an_entry_empty) {
  for (const Kernels<float>* t : kernels_available()) {
    EXPECT_TRUE(t->gemm && t->dot && t->axpy && t->sum_squares && t->rmsnorm &&
                t->rmsnorm_backward && t->swiglu && t->swiglu_backward && t->softmax &&
                t->softmax_backward && t->adamw)
        << t->name;
  }
}

}  // namespace
}  // namespace shenhong
