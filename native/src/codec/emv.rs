//! EMV tags that may stand in field 55: name, format and sensitivity.
//!
//! Source: EMV 4.3 Book 3, annex A (data elements dictionary); contactless and card-scheme tags from the public
//! kernel books; DF31, 9F63 and 9F74 as they appear in UnionPay field 55.

use crate::codec::class::Class;

/// One tag.
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    pub tag: u32,
    pub name: &'static str,
    /// Format as in the dictionary: n (BCD), an/ans (text), b (binary), cn (compressed numeric).
    pub format: &'static str,
    pub class: Class,
}

const fn tag(tag: u32, name: &'static str, format: &'static str, class: Class) -> Tag {
    Tag {
        tag,
        name,
        format,
        class,
    }
}

/// What an unknown tag is treated as: it passes untouched, but is never shown, quoted or kept.
pub const UNKNOWN: Class = Class::C3;

/// Ordered by tag.
pub const TAGS: [Tag; 86] = [
    tag(0x42, "Issuer identification number", "n", Class::C1),
    tag(0x4f, "Application identifier (card)", "b", Class::C1),
    tag(0x50, "Application label", "ans", Class::C1),
    tag(0x56, "Track 1 data", "ans", Class::Sad),
    tag(0x57, "Track 2 equivalent data", "b", Class::Sad),
    tag(0x5a, "Application PAN", "cn", Class::C2),
    tag(0x70, "Record template", "b", Class::Sad),
    tag(0x71, "Issuer script template 1", "b", Class::C3),
    tag(0x72, "Issuer script template 2", "b", Class::C3),
    tag(0x77, "Response template, format 2", "b", Class::Sad),
    tag(0x80, "Response template, format 1", "b", Class::C3),
    tag(0x82, "Application interchange profile", "b", Class::C1),
    tag(0x84, "Dedicated file name", "b", Class::C1),
    tag(0x86, "Issuer script command", "b", Class::C3),
    tag(0x87, "Application priority indicator", "b", Class::C1),
    tag(0x89, "Authorisation code", "ans", Class::C1),
    tag(0x8a, "Authorisation response code", "an", Class::C1),
    tag(0x8c, "CDOL1", "b", Class::C1),
    tag(0x8d, "CDOL2", "b", Class::C1),
    tag(0x8e, "CVM list", "b", Class::C1),
    tag(0x8f, "CA public key index", "b", Class::C1),
    tag(0x90, "Issuer public key certificate", "b", Class::C1),
    tag(0x91, "Issuer authentication data", "b", Class::C1),
    tag(0x93, "Signed static application data", "b", Class::C2),
    tag(0x94, "Application file locator", "b", Class::C1),
    tag(0x95, "Terminal verification results", "b", Class::C1),
    tag(0x98, "Transaction certificate hash", "b", Class::C1),
    tag(0x99, "Transaction PIN data", "b", Class::Sad),
    tag(0x9a, "Transaction date", "n", Class::C1),
    tag(0x9b, "Transaction status information", "b", Class::C1),
    tag(0x9c, "Transaction type", "n", Class::C1),
    tag(0x9d, "Directory definition file name", "b", Class::C1),
    tag(0x5f20, "Cardholder name", "ans", Class::C2),
    tag(0x5f24, "Application expiration date", "n", Class::C3),
    tag(0x5f25, "Application effective date", "n", Class::C2),
    tag(0x5f28, "Issuer country code", "n", Class::C1),
    tag(0x5f2a, "Transaction currency code", "n", Class::C1),
    tag(0x5f2d, "Language preference", "an", Class::C1),
    tag(0x5f30, "Service code", "n", Class::Sad),
    tag(0x5f34, "PAN sequence number", "n", Class::C2),
    tag(0x5f36, "Transaction currency exponent", "n", Class::C1),
    tag(0x5f50, "Issuer URL", "ans", Class::C1),
    tag(0x5f53, "International bank account number", "b", Class::C2),
    tag(0x9f01, "Acquirer identifier", "n", Class::C1),
    tag(0x9f02, "Amount, authorised", "n", Class::C2),
    tag(0x9f03, "Amount, other", "n", Class::C2),
    tag(0x9f05, "Application discretionary data", "b", Class::C3),
    tag(0x9f06, "Application identifier (terminal)", "b", Class::C1),
    tag(0x9f07, "Application usage control", "b", Class::C1),
    tag(0x9f08, "Application version number (card)", "b", Class::C1),
    tag(
        0x9f09,
        "Application version number (terminal)",
        "b",
        Class::C1,
    ),
    tag(0x9f0b, "Cardholder name, extended", "ans", Class::C2),
    tag(0x9f0d, "Issuer action code, default", "b", Class::C1),
    tag(0x9f0e, "Issuer action code, denial", "b", Class::C1),
    tag(0x9f0f, "Issuer action code, online", "b", Class::C1),
    tag(0x9f10, "Issuer application data", "b", Class::C2),
    tag(0x9f11, "Issuer code table index", "n", Class::C1),
    tag(0x9f12, "Application preferred name", "ans", Class::C1),
    tag(0x9f15, "Merchant category code", "n", Class::C1),
    tag(0x9f16, "Merchant identifier", "ans", Class::C1),
    tag(0x9f1a, "Terminal country code", "n", Class::C1),
    tag(0x9f1c, "Terminal identification", "an", Class::C1),
    tag(0x9f1e, "Interface device serial number", "an", Class::C1),
    tag(0x9f1f, "Track 1 discretionary data", "ans", Class::Sad),
    tag(0x9f20, "Track 2 discretionary data", "cn", Class::Sad),
    tag(0x9f21, "Transaction time", "n", Class::C1),
    tag(0x9f26, "Application cryptogram", "b", Class::C1),
    tag(0x9f27, "Cryptogram information data", "b", Class::C1),
    tag(0x9f33, "Terminal capabilities", "b", Class::C1),
    tag(0x9f34, "CVM results", "b", Class::C1),
    tag(0x9f35, "Terminal type", "n", Class::C1),
    tag(0x9f36, "Application transaction counter", "b", Class::C1),
    tag(0x9f37, "Unpredictable number", "b", Class::C1),
    tag(0x9f39, "POS entry mode", "n", Class::C1),
    tag(0x9f41, "Transaction sequence counter", "n", Class::C1),
    tag(0x9f4b, "Signed dynamic application data", "b", Class::C2),
    tag(0x9f4c, "ICC dynamic number", "b", Class::C1),
    tag(0x9f53, "Transaction category code", "an", Class::C1),
    tag(0x9f5b, "Issuer script results", "b", Class::C1),
    tag(0x9f63, "Card product identification", "b", Class::C1),
    tag(0x9f66, "Terminal transaction qualifiers", "b", Class::C1),
    tag(0x9f6b, "Track 2 data (contactless)", "b", Class::Sad),
    tag(0x9f6c, "Card transaction qualifiers", "b", Class::C1),
    tag(0x9f6e, "Form factor indicator", "b", Class::C1),
    tag(
        0x9f74,
        "Electronic cash issuer authorisation code",
        "an",
        Class::C1,
    ),
    tag(0xdf31, "Issuer script result", "b", Class::C1),
];

/// The row of a tag.
pub fn find(tag: u32) -> Option<&'static Tag> {
    TAGS.binary_search_by_key(&tag, |row| row.tag)
        .ok()
        .and_then(|at| TAGS.get(at))
}

/// What a tag is called in Chinese, empty when it is not known: the usual words of JR/T 0025 (PBOC 3.0).
pub fn chinese(tag: u32) -> &'static str {
    CHINESE
        .binary_search_by_key(&tag, |row| row.0)
        .ok()
        .and_then(|at| CHINESE.get(at))
        .map_or("", |row| row.1)
}

/// Ordered by tag, as `TAGS`.
const CHINESE: [(u32, &str); TAGS.len()] = [
    (0x42, "发卡行识别号"),
    (0x4f, "应用标识符（卡片）"),
    (0x50, "应用标签"),
    (0x56, "磁道1数据"),
    (0x57, "磁道2等效数据"),
    (0x5a, "应用主账号"),
    (0x70, "记录模板"),
    (0x71, "发卡行脚本模板1"),
    (0x72, "发卡行脚本模板2"),
    (0x77, "响应报文模板格式2"),
    (0x80, "响应报文模板格式1"),
    (0x82, "应用交互特征"),
    (0x84, "专用文件名称"),
    (0x86, "发卡行脚本命令"),
    (0x87, "应用优先指示器"),
    (0x89, "授权码"),
    (0x8a, "授权响应码"),
    (0x8c, "卡片风险管理数据对象列表1"),
    (0x8d, "卡片风险管理数据对象列表2"),
    (0x8e, "持卡人验证方法列表"),
    (0x8f, "认证中心公钥索引"),
    (0x90, "发卡行公钥证书"),
    (0x91, "发卡行认证数据"),
    (0x93, "签名的静态应用数据"),
    (0x94, "应用文件定位器"),
    (0x95, "终端验证结果"),
    (0x98, "交易证书哈希值"),
    (0x99, "交易个人识别码数据"),
    (0x9a, "交易日期"),
    (0x9b, "交易状态信息"),
    (0x9c, "交易类型"),
    (0x9d, "目录定义文件名称"),
    (0x5f20, "持卡人姓名"),
    (0x5f24, "应用失效日期"),
    (0x5f25, "应用生效日期"),
    (0x5f28, "发卡行国家代码"),
    (0x5f2a, "交易货币代码"),
    (0x5f2d, "首选语言"),
    (0x5f30, "服务码"),
    (0x5f34, "应用主账号序列号"),
    (0x5f36, "交易货币指数"),
    (0x5f50, "发卡行网址"),
    (0x5f53, "国际银行账号"),
    (0x9f01, "收单行标识"),
    (0x9f02, "授权金额"),
    (0x9f03, "其它金额"),
    (0x9f05, "应用自定义数据"),
    (0x9f06, "应用标识符（终端）"),
    (0x9f07, "应用用途控制"),
    (0x9f08, "应用版本号（卡片）"),
    (0x9f09, "应用版本号（终端）"),
    (0x9f0b, "持卡人姓名扩展"),
    (0x9f0d, "发卡行行为代码（缺省）"),
    (0x9f0e, "发卡行行为代码（拒绝）"),
    (0x9f0f, "发卡行行为代码（联机）"),
    (0x9f10, "发卡行应用数据"),
    (0x9f11, "发卡行代码表索引"),
    (0x9f12, "应用首选名称"),
    (0x9f15, "商户类别码"),
    (0x9f16, "商户标识"),
    (0x9f1a, "终端国家代码"),
    (0x9f1c, "终端标识"),
    (0x9f1e, "接口设备序列号"),
    (0x9f1f, "磁道1自定义数据"),
    (0x9f20, "磁道2自定义数据"),
    (0x9f21, "交易时间"),
    (0x9f26, "应用密文"),
    (0x9f27, "密文信息数据"),
    (0x9f33, "终端性能"),
    (0x9f34, "持卡人验证方法结果"),
    (0x9f35, "终端类型"),
    (0x9f36, "应用交易计数器"),
    (0x9f37, "不可预知数"),
    (0x9f39, "服务点输入方式"),
    (0x9f41, "交易序列计数器"),
    (0x9f4b, "签名的动态应用数据"),
    (0x9f4c, "IC卡动态数"),
    (0x9f53, "交易种类代码"),
    (0x9f5b, "发卡行脚本结果"),
    (0x9f63, "卡产品标识信息"),
    (0x9f66, "终端交易属性"),
    (0x9f6b, "磁道2数据（非接触）"),
    (0x9f6c, "卡片交易属性"),
    (0x9f6e, "设备形态指示器"),
    (0x9f74, "电子现金发卡行授权码"),
    (0xdf31, "发卡行脚本结果"),
];

/// The class of a tag, known or not.
pub fn class(tag: u32) -> Class {
    find(tag).map_or(UNKNOWN, |row| row.class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tlv::is_ber_tag;

    #[test]
    fn the_table_is_ordered_and_its_tags_are_tags() {
        assert!(TAGS.windows(2).all(|pair| pair[0].tag < pair[1].tag));
        assert!(TAGS.iter().all(|row| is_ber_tag(row.tag)));
        assert!(
            TAGS.iter()
                .zip(CHINESE)
                .all(|(row, (tag, _))| row.tag == tag)
        );
    }

    #[test]
    fn what_authenticates_a_card_is_sad() {
        for tag in [0x56, 0x57, 0x99, 0x9f1f, 0x9f20, 0x9f6b] {
            assert_eq!(class(tag), Class::Sad);
        }
        assert_eq!(class(0x5a), Class::C2);
        assert_eq!(class(0xdf7f), UNKNOWN);
    }
}
